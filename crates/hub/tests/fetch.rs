//! Names to files, against a hub on this machine: fresh, cached, offline, and everything that can go wrong between.

mod support;

use std::{fs, thread, time::Duration};

use imbed_core::{ErrorKind, FetchScope};
use imbed_hub::{Hub, Settings};
use support::{
    CONFIG, Cache, Heard, RECIPE, name, published,
    server::{Server, What, git_blob, sha256},
    weights,
};

const LARGE: usize = 300_000;

#[test]
fn a_fresh_model_is_downloaded_and_only_what_is_needed_of_it() {
    let (server, cache, mut heard) = (published(LARGE), Cache::new(), Heard::default());
    let model = cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut heard).unwrap();
    assert_eq!(fs::read(model.folder.join("config.json")).unwrap(), CONFIG);
    assert_eq!(fs::read(model.folder.join("preprocessor_config.json")).unwrap(), RECIPE);
    assert_eq!(fs::read(model.folder.join("model.safetensors")).unwrap(), weights(LARGE));
    let mut expected = vec![git_blob(CONFIG), git_blob(RECIPE), sha256(&weights(LARGE))];
    expected.sort();
    assert_eq!(cache.blobs(), expected, "three contents under their checksums, and nothing else");
    // The layout that Python reads.
    let repo = cache.path().join("models--org--model");
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), model.commit);
    assert_eq!(model.folder, repo.join("snapshots").join(&model.commit));
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(model.folder.join("config.json")).unwrap(),
        std::path::Path::new("../../blobs").join(git_blob(CONFIG))
    );
    let download = &heard.downloads[0];
    let all = (LARGE + CONFIG.len() + RECIPE.len()) as u64;
    assert_eq!((heard.downloads.len(), download.files, download.bytes, heard.finished), (1, 3, all, 1));
    assert!(download.model == "org/model" && download.from.starts_with("127.0.0.1:"), "{download:?}");
    assert_eq!(heard.positions.last(), Some(&all));
    assert!(heard.positions.is_sorted());
}

#[test]
fn a_cached_model_costs_no_request() {
    let (server, cache) = (published(1000), Cache::new());
    let hub = cache.hub(&server);
    let first = hub.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    server.take_seen();
    let mut heard = Heard::default();
    assert_eq!(hub.fetch(&name("org/model"), FetchScope::Everything, &mut heard).unwrap(), first);
    assert_eq!(hub.local(&name("org/model"), FetchScope::Everything).unwrap(), first);
    assert!(server.take_seen().is_empty());
    assert!(heard.downloads.is_empty());
}

#[test]
fn configuration_alone_brings_no_weights() {
    let (server, cache) = (published(1000), Cache::new());
    let hub = cache.hub(&server);
    let model = hub.fetch(&name("org/model"), FetchScope::Configuration, &mut ()).unwrap();
    assert!(server.take_seen().iter().all(|seen| !seen.path.contains("safetensors")));
    assert!(hub.local(&name("org/model"), FetchScope::Configuration).is_ok());
    let error = hub.local(&name("org/model"), FetchScope::Everything).unwrap_err();
    assert!(error.message().contains("model.safetensors"), "{error}");
    assert!(error.hint_text().unwrap().contains("imbed models pull org/model"), "{error}");
    assert_eq!(hub.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap(), model);
}

#[test]
fn offline_a_cached_model_is_found_and_another_is_an_error_that_says_why() {
    let (server, cache) = (published(1000), Cache::new());
    let offline = Hub::new(Settings { offline: true, ..cache.settings(&server.url()) });
    let error = offline.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownModel);
    assert!(error.hint_text().unwrap().contains("HF_HUB_OFFLINE"), "{error}");
    assert!(offline.pull(&name("org/model"), &mut ()).is_err());
    assert!(server.take_seen().is_empty());
    let model = cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    drop(server);
    assert_eq!(offline.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap(), model);
    let pulled = offline.pull(&name("org/model"), &mut ()).unwrap();
    assert_eq!((pulled.files.len(), pulled.downloaded_bytes), (3, 0));
}

#[test]
fn a_hub_that_is_gone_is_an_error_with_a_next_step() {
    let (server, cache) = (published(10), Cache::new());
    let hub = cache.hub(&server);
    drop(server);
    let mut heard = Heard::default();
    let error = hub.fetch(&name("org/model"), FetchScope::Everything, &mut heard).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("cannot be reached") && error.hint_text().is_some(), "{error}");
    assert_eq!(heard.waits.len(), 2, "three tries");
}

#[test]
fn a_revision_is_a_branch_a_tag_or_a_commit_and_pull_asks_for_the_newest() {
    let (server, cache) = (Server::start(), Cache::new());
    let files = |config: &'static [u8]| [("config.json", config), ("model.safetensors", b"weights".as_slice())];
    let first = server.publish("org/model", &files(b"{\"n\": 1}"));
    let hub = cache.hub(&server);
    hub.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    let second = server.publish("org/model", &files(b"{\"n\": 2}"));
    let commit = |text: &str| hub.fetch(&name(text), FetchScope::Everything, &mut ()).unwrap().commit;
    assert_eq!(commit("org/model"), first, "what is cached stays as it is");
    let pulled = hub.pull(&name("org/model"), &mut ()).unwrap();
    assert_eq!(pulled.snapshot.commit, second);
    assert_eq!(pulled.downloaded_bytes, 8, "the weights are the same, so only the config came");
    assert_eq!(commit("org/model"), second);
    assert_eq!(commit("org/model@v1"), first);
    assert_eq!(commit("org/model@refs/pr/1"), first);
    server.take_seen();
    assert_eq!(commit(&format!("org/model@{first}")), first);
    assert!(server.take_seen().is_empty(), "a commit is known without asking");
    let error = hub.fetch(&name("org/model@v9"), FetchScope::Everything, &mut ()).unwrap_err();
    assert!(error.message().contains("no revision 'v9'"), "{error}");
    assert!(error.hint_text().unwrap().contains("main, v1"), "{error}");
}

#[test]
fn a_name_that_does_not_exist_is_answered_with_the_nearest_ones() {
    let (server, cache) = (published(10), Cache::new());
    server.publish("openai/clip-vit-base-patch32", &[("config.json", b"{}")]);
    server.publish("openai/clip-vit-large-patch14", &[("config.json", b"{}")]);
    for hub in [cache.hub(&server), cache.hub_with_token(&server, "hf_x")] {
        let error = hub.fetch(&name("openai/clip-vit-base-patch23"), FetchScope::Configuration, &mut ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        let hint = error.hint_text().unwrap();
        assert!(hint.starts_with("did you mean openai/clip-vit-base-patch32"), "{hint}");
        let error = hub.fetch(&name("opena/clip-vit-large-patch14"), FetchScope::Configuration, &mut ()).unwrap_err();
        assert!(error.hint_text().unwrap().contains("openai/clip-vit-large-patch14"), "{error}");
    }
    assert!(cache.blobs().is_empty());
}

#[test]
fn a_gated_model_says_where_its_terms_are_and_a_token_opens_it() {
    let (server, cache) = (published(1000), Cache::new());
    server.gate("org/model", "hf_right");
    let ask = |hub: &Hub| hub.fetch(&name("org/model"), FetchScope::Everything, &mut ());
    let stranger = ask(&cache.hub(&server)).unwrap_err();
    assert!(stranger.message().contains("gated"), "{stranger}");
    let hint = stranger.hint_text().unwrap();
    assert!(hint.contains(&format!("{}/org/model", server.url())) && hint.contains("HF_TOKEN"), "{hint}");
    let known = ask(&cache.hub_with_token(&server, "hf_wrong")).unwrap_err();
    assert!(known.hint_text().unwrap().contains("has no access yet"), "{known}");
    assert!(!format!("{known:?}{known}").contains("hf_wrong"));
    assert!(ask(&cache.hub_with_token(&server, "hf_right")).is_ok());
}

#[test]
fn the_token_is_shown_to_the_hub_alone() {
    let (server, cache) = (published(1000), Cache::new());
    cache.hub_with_token(&server, "hf_secret").fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    let seen = server.take_seen();
    assert!(seen.iter().any(|s| s.content), "the large file came from elsewhere");
    for request in seen {
        let token = if request.content { None } else { Some("hf_secret") };
        assert_eq!(request.token.as_deref(), token, "{} {}", request.method, request.path);
    }
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_stopped() {
    let (server, cache, mut heard) = (published(LARGE), Cache::new(), Heard::default());
    server.fault("model.safetensors", true, 2, What::Cut(100_000));
    cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut heard).unwrap();
    let ranges: Vec<Option<String>> = server.take_seen().into_iter().filter(|s| s.content).map(|s| s.range).collect();
    let expected = [None, Some("bytes=100000-".to_owned()), Some("bytes=200000-".to_owned())];
    assert_eq!(ranges, expected);
    assert_eq!(heard.waits.len(), 2);
    assert!(heard.waits[0].contains("broke off"), "{:?}", heard.waits);
    assert!(heard.positions.is_sorted(), "nothing was fetched twice");
}

#[test]
fn a_download_that_was_given_up_goes_on_in_the_next_process() {
    let (server, cache) = (published(LARGE), Cache::new());
    server.fault("model.safetensors", true, 1, What::Cut(100_000));
    server.fault("model.safetensors", true, 2, What::Cut(0));
    let hub = cache.hub(&server);
    let error = hub.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap_err();
    assert!(error.hint_text().unwrap().contains("goes on where it stopped"), "{error}");
    let partial = cache.blob(&format!("{}.incomplete", sha256(&weights(LARGE))));
    assert_eq!(fs::metadata(&partial).unwrap().len(), 100_000);
    assert!(hub.local(&name("org/model"), FetchScope::Everything).is_err());
    server.take_seen();
    let model = cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    let ranges: Vec<_> = server.take_seen().into_iter().filter(|s| s.content).map(|s| s.range).collect();
    assert_eq!(ranges, [Some("bytes=100000-".to_owned())]);
    assert_eq!(fs::read(model.folder.join("model.safetensors")).unwrap(), weights(LARGE));
    assert!(!partial.exists());
}

#[test]
fn a_server_that_gives_no_parts_is_asked_for_the_whole() {
    let (server, cache) = (published(LARGE), Cache::new());
    server.fault("model.safetensors", true, 1, What::Cut(100_000));
    server.fault("model.safetensors", true, 1, What::IgnoreRange);
    let model = cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    assert_eq!(fs::read(model.folder.join("model.safetensors")).unwrap(), weights(LARGE));
}

#[test]
fn what_an_earlier_download_left_may_be_wrong_or_too_long() {
    for left in [vec![0; 1000], weights(LARGE + 1), vec![1; LARGE]] {
        let (server, cache) = (published(LARGE), Cache::new());
        let partial = cache.blob(&format!("{}.incomplete", sha256(&weights(LARGE))));
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, left).unwrap();
        let model = cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
        assert_eq!(fs::read(model.folder.join("model.safetensors")).unwrap(), weights(LARGE));
    }
}

#[test]
fn wrong_content_is_refused_and_not_left_in_the_cache() {
    let (server, cache) = (published(LARGE), Cache::new());
    server.fault("model.safetensors", true, 1, What::WrongByte);
    let hub = cache.hub(&server);
    let error = hub.fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("model.safetensors") && error.message().contains("SHA-256"), "{error}");
    assert_eq!(cache.blobs().len(), 2, "the two small files: {:?}", cache.blobs());
    server.fault("config.json", false, 2, What::WrongByte);
    let small = Cache::new();
    let error = small.hub(&server).fetch(&name("org/model"), FetchScope::Configuration, &mut ()).unwrap_err();
    assert!(error.message().contains("config.json") && error.message().contains("git blob"), "{error}");
    assert!(small.blobs().is_empty());
    assert!(hub.fetch(&name("org/model"), FetchScope::Everything, &mut ()).is_ok(), "the next one may be right");
}

#[test]
fn a_busy_server_is_asked_again_and_told_of() {
    let (server, cache, mut heard) = (published(1000), Cache::new(), Heard::default());
    server.fault("/api/models/", false, 1, What::Status(500, &[]));
    server.fault("config.json", false, 1, What::Status(429, &[("Retry-After", "0")]));
    server.fault("model.safetensors", true, 1, What::Status(503, &[]));
    cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut heard).unwrap();
    assert_eq!(heard.waits.len(), 3, "{:?}", heard.waits);
    server.fault("/api/models/", false, 99, What::Status(429, &[("Retry-After", "0")]));
    let error = cache.hub(&server).pull(&name("org/model"), &mut ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}

#[test]
fn a_mirror_that_lists_names_only_is_asked_for_each_files_checksum() {
    let (server, cache) = (published(1000), Cache::new());
    server.list_names_only("org/model");
    cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap();
    let heads = server.take_seen().into_iter().filter(|s| s.method == "HEAD" && s.path.starts_with("/org/")).count();
    assert_eq!(heads, 3);
    assert_eq!(cache.blobs().len(), 3);
}

#[test]
fn shards_are_those_that_the_index_lists() {
    let (server, cache) = (Server::start(), Cache::new());
    let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "odd-name.safetensors"}}"#;
    server.publish(
        "org/model",
        &[
            ("config.json", CONFIG),
            ("model.safetensors.index.json", index),
            ("model-00001-of-00002.safetensors", b"one"),
            ("odd-name.safetensors", b"two"),
            ("other.safetensors", b"not wanted"),
        ],
    );
    let hub = cache.hub(&server);
    let pulled = hub.pull(&name("org/model"), &mut ()).unwrap();
    assert!(pulled.snapshot.folder.join("odd-name.safetensors").is_file());
    assert!(!pulled.snapshot.folder.join("other.safetensors").exists());
    assert!(hub.local(&name("org/model"), FetchScope::Everything).is_ok(), "no recipe, and known to have none");
}

#[test]
fn a_model_without_weights_that_can_be_read_says_what_it_has() {
    let (server, cache) = (Server::start(), Cache::new());
    server.publish("org/model", &[("config.json", CONFIG), ("model.onnx", b"x"), ("tf_model.h5", b"x")]);
    let error = cache.hub(&server).fetch(&name("org/model"), FetchScope::Everything, &mut ()).unwrap_err();
    assert!(error.message().contains("no weights"), "{error}");
    assert!(error.hint_text().unwrap().contains("tf_model.h5"), "{error}");
}

#[test]
fn many_at_once_download_each_file_once() {
    let (server, cache) = (published(LARGE), Cache::new());
    server.fault("model.safetensors", true, 1, What::Slow(Duration::from_millis(300)));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| cache.hub(&server).pull(&name("org/model"), &mut Heard::default()).unwrap());
        }
    });
    let seen = server.take_seen();
    assert_eq!(seen.iter().filter(|s| s.content).count(), 1, "{seen:?}");
    assert_eq!(seen.iter().filter(|s| s.path.contains("resolve-cache") && s.path.ends_with("/config.json")).count(), 1);
}

#[test]
fn an_address_that_is_no_hub_is_refused() {
    let cache = Cache::new();
    for endpoint in ["huggingface.co", "ftp://hub.example", "", "https://"] {
        let error = Hub::new(cache.settings(endpoint))
            .fetch(&name("org/model"), FetchScope::Configuration, &mut ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{endpoint}: {error}");
    }
    let server = published(10);
    server.fault("/api/models/", false, 1, What::Status(200, &[("Content-Type", "text/html")]));
    let error = cache.hub(&server).pull(&name("org/model"), &mut ()).unwrap_err();
    assert!(error.hint_text().unwrap().contains("login page"), "{error}");
}
