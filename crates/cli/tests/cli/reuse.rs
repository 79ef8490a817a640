//! Identical images and earlier runs: what is not embedded again, and what is said of it.

use std::fs;

use serde_json::Value;

use crate::fixture::{Embedded, Folder, png, stderr, stdout};

/// The folder `shots/` with 4 images, two of them twice.
fn with_copies() -> Folder {
    let folder = Folder::with_shots(4);
    folder.write("shots/1 again.png", &png(1));
    folder.write("shots/sub/2 again.png", &png(2));
    folder
}

fn summary(folder: &Folder, args: &[&str]) -> Value {
    let args = [&["embed", "shots", "-o", "out.parquet", "--overwrite", "--json"], args].concat();
    serde_json::from_str(&stdout(&folder.imbed(&args).assert().code(0))).unwrap()
}

#[test]
fn identical_images_are_embedded_once_and_counted() {
    let folder = with_copies();
    let assert = folder.imbed(&["embed", "shots", "-o", "out.parquet"]).assert().code(0);
    assert!(stderr(&assert).contains("saved     2 identical to an earlier row\n"), "{}", stderr(&assert));
    let once = Embedded::read(&folder.path("out.parquet"));
    let again = folder.embed(&["shots", "--no-dedupe"]);
    assert_eq!(once.texts("path"), again.texts("path"));
    assert_eq!(once.vectors(), again.vectors());
    assert_eq!(summary(&folder, &[])["copies"], 2);
    assert_eq!(summary(&folder, &["--no-dedupe"])["copies"], 0);
    folder.write("imbed.toml", b"[options]\ndedupe = false\n");
    assert_eq!(summary(&folder, &[])["copies"], 0);
}

#[test]
fn a_second_run_takes_what_the_first_has_kept() {
    let folder = with_copies();
    let plain = folder.embed(&["shots"]);
    let first = summary(&folder, &["--cache", "vectors"]);
    assert_eq!((&first["cached"], &first["copies"]), (&0.into(), &2.into()));
    folder.write("shots/new.png", &png(9));
    let second = summary(&folder, &["--cache", "vectors"]);
    assert_eq!((&second["embedded"], &second["cached"], &second["batches"]), (&7.into(), &4.into(), &1.into()));
    assert_eq!(second["cache_failure"], Value::Null);
    let mut third = folder.imbed(&["embed", "shots", "-o", "out.parquet", "--overwrite"]);
    let assert = third.env("IMBED_CACHE", "vectors").assert().code(0);
    assert!(
        stderr(&assert).contains("saved     2 identical to an earlier row, 5 from the cache\n"),
        "{}",
        stderr(&assert)
    );
    let cached = Embedded::read(&folder.path("out.parquet"));
    let vectors = |out: &Embedded| -> Vec<_> {
        let named = out.texts("path").into_iter().zip(out.vectors());
        named.filter(|(path, _)| path.as_deref() != Some("shots/new.png")).collect()
    };
    assert_eq!(vectors(&cached), vectors(&plain));

    folder.write("imbed.toml", b"cache = 'vectors'\n");
    assert_eq!(summary(&folder, &[])["cached"], 5);
    assert_eq!(summary(&folder, &["--no-cache"])["cached"], 0);
    assert_eq!(summary(&folder, &["--alpha", "white"])["cached"], 0);
    let assert = folder.imbed(&["embed", "shots", "--explain"]).assert().code(0);
    assert!(stdout(&assert).contains("cache               vectors\n"), "{}", stdout(&assert));
}

#[test]
fn a_cache_that_cannot_be_kept_is_said_and_costs_nothing() {
    let folder = with_copies();
    summary(&folder, &["--cache", "vectors"]);
    for own in fs::read_dir(folder.path("vectors")).unwrap() {
        let lock = own.unwrap().path().join("0.lock");
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
    }
    folder.write("shots/new.png", &png(9));
    let args = ["embed", "shots", "--cache", "vectors", "-o", "out.parquet", "--overwrite"];
    let assert = folder.imbed(&args).assert().code(0);
    assert!(stderr(&assert).contains("cache     vectors"), "{}", stderr(&assert));
    assert_eq!(Embedded::read(&folder.path("out.parquet")).vectors().iter().flatten().count(), 7);
}

#[test]
fn a_cache_that_is_a_file_is_refused_with_a_next_step() {
    let folder = with_copies();
    folder.write("file", b"");
    let assert = folder.imbed(&["embed", "shots", "--cache", "file", "-o", "out.parquet"]).assert().failure();
    let text = stderr(&assert);
    assert!(text.contains("file: vectors cannot be kept there") && text.contains("--cache"), "{text}");
    assert!(!folder.path("out.parquet").exists());
}
