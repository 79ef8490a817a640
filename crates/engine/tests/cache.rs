//! A run pays for images that no run before it has embedded.

mod support;

use std::{path::Path, sync::Arc};

use imbed_core::{ErrorKind, image::DecodeOptions};
use imbed_engine::{Engine, MetricsSnapshot};
use support::{FakeModel, Faults, Row, chunk, chunks, expected, vectors};

fn good(range: std::ops::Range<u8>) -> Vec<Row> {
    range.map(|i| Row::Good([i, 1, 2])).collect()
}

/// Embeds `rows`, whose vectors must be right, and says what it took.
fn embed(engine: &Engine, rows: &[Row]) -> MetricsSnapshot {
    let mut stream = engine.embed_stream(chunks(rows, 5)).unwrap();
    let mut seen = Vec::new();
    for part in stream.by_ref() {
        seen.extend(vectors(&part.unwrap().embeddings));
    }
    assert_eq!(seen, rows.iter().map(|row| expected(*row).map(|v| v.to_vec())).collect::<Vec<_>>());
    stream.metrics()
}

fn engine(options: &[(&'static str, &'static str)], cache: &Path) -> Engine {
    FakeModel::new(options).builder().cache(Some(cache.to_owned())).build().unwrap()
}

#[test]
fn a_grown_input_costs_what_is_new_and_an_old_one_not_even_the_model() {
    for dedupe in ["true", "false"] {
        let folder = tempfile::tempdir().unwrap();
        let options = [("on_error", "ignore"), ("batch_size", "4"), ("dedupe", dedupe)];
        let rows: Vec<Row> = [good(0..10), vec![Row::Null, Row::Bad]].concat();
        let first = embed(&engine(&options, folder.path()), &rows);
        assert_eq!((first.cached, first.embedded), (0, 10));

        let model = FakeModel::new(&options);
        let (loads, batches) = (Arc::clone(&model.loads), Arc::clone(&model.batches));
        let cached = model.builder().cache(Some(folder.path().to_owned())).build().unwrap();
        let again = embed(&cached, &rows);
        assert_eq!((again.cached, again.embedded, again.nulls, again.failed()), (10, 10, 1, 1));
        assert_eq!(again.cache_failure, None);
        assert!(loads.lock().unwrap().is_empty(), "the model was loaded for nothing");

        let grown: Vec<Row> = [good(0..3), good(20..26), rows].concat();
        let grown = embed(&cached, &grown);
        assert_eq!((grown.cached + grown.copies, grown.embedded), (13, 19));
        assert_eq!(*batches.lock().unwrap(), [4, 2]);
    }
}

#[test]
fn what_changes_vectors_has_vectors_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let rows = good(0..4);
    embed(&engine(&[], folder.path()), &rows);
    assert_eq!(embed(&engine(&[("batch_size", "3"), ("on_error", "log")], folder.path()), &rows).cached, 4);
    assert_eq!(embed(&engine(&[("alpha", "white")], folder.path()), &rows).cached, 0);
    let decode = DecodeOptions { allow_truncated: true, ..DecodeOptions::default() };
    let builder = FakeModel::new(&[]).builder().decode(decode).cache(Some(folder.path().to_owned()));
    assert_eq!(embed(&builder.build().unwrap(), &rows).cached, 0);
    let cut = engine(&[("dimensions", "2")], folder.path());
    let mut stream = cut.embed_stream(chunks(&rows, 4)).unwrap();
    assert_eq!(stream.next().unwrap().unwrap().embeddings.value_length(), 2);
    assert_eq!(stream.metrics().cached, 0);
}

#[test]
fn rows_that_failed_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = [("on_error", "ignore")];
    let faults = Faults { nan_on_red: Some(1), ..Faults::default() };
    let failing = FakeModel::new(&options).with_faults(faults).builder().cache(Some(folder.path().to_owned()));
    let mut stream = failing.build().unwrap().embed_stream([Ok(chunk(&good(0..4), 0))]).unwrap();
    assert_eq!(stream.next().unwrap().unwrap().errors.len(), 1);
    drop(stream);
    assert_eq!(embed(&engine(&options, folder.path()), &good(0..4)).cached, 3);
}

#[test]
fn a_model_that_fails_on_everything_stops_the_run_whatever_was_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let options = [("on_error", "ignore"), ("batch_size", "2")];
    embed(&engine(&options, folder.path()), &good(0..4));
    let faults = Faults { always_fails: true, ..Faults::default() };
    let broken = FakeModel::new(&options).with_faults(faults).builder().cache(Some(folder.path().to_owned()));
    let results: Vec<_> = broken.build().unwrap().embed_stream(chunks(&good(0..8), 4)).unwrap().collect();
    assert_eq!(results.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::Model);
}

#[test]
fn runs_at_once_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4u8 {
            let folder = folder.path();
            scope.spawn(move || {
                let rows = good(worker * 10..worker * 10 + 20);
                assert_eq!(embed(&engine(&[("batch_size", "3")], folder), &rows).cache_failure, None);
            });
        }
    });
    assert_eq!(embed(&engine(&[], folder.path()), &good(0..50)).cached, 50);
}

#[test]
fn a_cache_that_cannot_be_written_costs_no_row() {
    let folder = tempfile::tempdir().unwrap();
    embed(&engine(&[], folder.path()), &good(0..2));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let lock = entry.unwrap().path().join("0.lock");
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
    }
    let metrics = embed(&engine(&[], folder.path()), &good(0..5));
    assert_eq!((metrics.cached, metrics.embedded), (2, 5));
    assert!(metrics.cache_failure.unwrap().contains("not kept"));
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_before_any_work() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = engine(&[], file.path()).embed_stream(chunks(&good(0..2), 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn a_number_type_that_the_machine_chooses_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let builder = FakeModel::new(&[("dtype", "auto")]).builder().cache(Some(folder.path().to_owned()));
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadOption);
    assert!(error.message().contains("'auto'") && error.hint_text().is_some(), "{error}");
    assert!(FakeModel::new(&[("dtype", "auto")]).builder().build().is_ok());
}
