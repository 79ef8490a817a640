//! What is in the cache: listed, verified, removed.

mod support;

use std::fs;

use imbed_core::{ErrorKind, FetchScope};
use support::{CONFIG, Cache, RECIPE, name, published, server::sha256, usual, weights};

#[test]
fn the_list_tells_complete_models_from_others() {
    let (server, cache) = (published(1000), Cache::new());
    let hub = cache.hub(&server);
    assert!(hub.list(&usual()).unwrap().is_empty());
    hub.fetch(&name("org/model"), FetchScope::Configuration, &mut ()).unwrap();
    let listed = hub.list(&usual()).unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].revisions.as_slice()), ("org/model", &["main".to_owned()][..]));
    assert_eq!(listed[0].missing, ["model.safetensors"]);
    hub.pull(&name("org/model"), &mut ()).unwrap();
    let listed = hub.list(&usual()).unwrap();
    assert!(listed[0].missing.is_empty());
    assert_eq!(listed[0].bytes, (1000 + CONFIG.len() + RECIPE.len()) as u64);
    assert!(listed[0].last_used.is_some());
}

#[test]
fn a_file_that_was_changed_since_is_found() {
    let (server, cache) = (published(1000), Cache::new());
    let hub = cache.hub(&server);
    let model = hub.pull(&name("org/model"), &mut ()).unwrap().snapshot;
    let verified = &hub.verify(None).unwrap()[0];
    assert_eq!((verified.whole, verified.broken.len(), verified.unknown.len()), (3, 0, 0));
    let blob = cache.blob(&sha256(&weights(1000)));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[500] ^= 1;
    fs::write(&blob, bytes).unwrap();
    fs::write(cache.blob("noted-by-hand"), b"x").unwrap();
    let verified = &hub.verify(Some(&name("org/model"))).unwrap()[0];
    assert_eq!(verified.broken.len(), 1);
    assert_eq!(verified.broken[0].0, model.folder.join("model.safetensors"));
    assert_eq!(verified.unknown, [cache.blob("noted-by-hand")]);
    fs::remove_file(&blob).unwrap();
    let verified = &hub.verify(None).unwrap()[0];
    assert!(verified.broken[0].1.contains("gone"), "{:?}", verified.broken);
}

#[test]
fn a_removed_model_leaves_nothing_and_its_neighbours_alone() {
    let (server, cache) = (published(1000), Cache::new());
    server.publish("org/other", &[("config.json", CONFIG), ("model.safetensors", b"x")]);
    let hub = cache.hub(&server);
    for model in ["org/model", "org/other"] {
        hub.pull(&name(model), &mut ()).unwrap();
    }
    let removed = hub.remove(&name("org/model")).unwrap();
    assert!(removed.bytes >= 1000);
    assert!(!removed.folder.exists());
    assert_eq!(hub.list(&usual()).unwrap().len(), 1);
    let error = hub.remove(&name("org/othr")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownModel);
    assert!(error.hint_text().unwrap().contains("did you mean org/other?"), "{error}");
    assert_eq!(hub.remove(&name("org/other@main")).unwrap_err().kind(), ErrorKind::BadInput);
}

#[test]
fn a_model_that_is_being_downloaded_is_not_removed() {
    let (server, cache) = (published(1000), Cache::new());
    let hub = cache.hub(&server);
    hub.pull(&name("org/model"), &mut ()).unwrap();
    let locks = cache.path().join(".locks/models--org--model");
    let path = fs::read_dir(locks).unwrap().next().unwrap().unwrap().path();
    let lock = fs::File::create(path).unwrap();
    lock.lock().unwrap();
    assert!(hub.remove(&name("org/model")).unwrap_err().message().contains("being downloaded"));
    lock.unlock().unwrap();
    assert!(hub.remove(&name("org/model")).is_ok());
}
