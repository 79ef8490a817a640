//! A model that fails costs the rows it fails on, and nothing more.

mod support;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use imbed_core::{Device, ErrorKind};
use imbed_engine::{Allocator, FixedInventory, Images};
use support::{FakeModel, Faults, Row, chunk, chunks, encoded, expected, vectors};

fn good(n: u8) -> Vec<Row> {
    (0..n).map(|i| Row::Good([i, 0, 0])).collect()
}

#[test]
fn a_batch_that_does_not_fit_is_halved_and_later_ones_start_smaller() {
    let model =
        FakeModel::new(&[("batch_size", "16")]).with_faults(Faults { rows_in_memory: Some(5), ..Faults::default() });
    let batches = Arc::clone(&model.batches);
    let rows = good(32);
    let mut stream = model.engine().embed_stream([Ok(chunk(&rows, 0))]).unwrap();
    let seen = vectors(&stream.next().unwrap().unwrap().embeddings);
    assert!(seen.iter().zip(&rows).all(|(v, row)| v.as_deref() == expected(*row).as_ref().map(|v| &v[..])));
    assert!(stream.metrics().halvings > 0);
    let sizes = batches.lock().unwrap().clone();
    assert_eq!(sizes[..3], [16, 8, 4], "{sizes:?}");
    assert!(sizes[sizes.len() - 4..].iter().all(|n| *n <= 4), "{sizes:?}");
}

#[test]
fn one_image_too_many_for_the_memory_stops_the_run_with_advice() {
    let model =
        FakeModel::new(&[("on_error", "ignore")]).with_faults(Faults { rows_in_memory: Some(0), ..Faults::default() });
    let error = model.engine().embed_array(Images::Encoded(encoded(&good(4)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(error.hint_text().is_some());
}

#[test]
fn a_panic_inside_the_model_costs_only_the_image_that_causes_it() {
    let model =
        FakeModel::new(&[("on_error", "ignore")]).with_faults(Faults { panics_on_red: Some(7), ..Faults::default() });
    let rows = good(20);
    let embedded = model.engine().embed_array(Images::Encoded(encoded(&rows))).unwrap();
    assert_eq!(embedded.errors.len(), 1);
    assert_eq!((embedded.errors[0].row, embedded.errors[0].error.kind()), (7, ErrorKind::Internal));
    let seen = vectors(&embedded.embeddings);
    assert!((0..20).filter(|i| *i != 7).all(|i| seen[i].as_deref() == expected(rows[i]).as_ref().map(|v| &v[..])));
}

#[test]
fn a_vector_that_is_not_finite_is_a_row_error() {
    let model =
        FakeModel::new(&[("on_error", "ignore")]).with_faults(Faults { nan_on_red: Some(1), ..Faults::default() });
    let embedded = model.engine().embed_array(Images::Encoded(encoded(&good(3)))).unwrap();
    assert_eq!(embedded.errors.len(), 1);
    assert_eq!(embedded.errors[0].row, 1);
}

#[test]
fn a_model_that_fails_on_everything_stops_the_run_even_when_errors_are_ignored() {
    let model =
        FakeModel::new(&[("on_error", "ignore")]).with_faults(Faults { always_fails: true, ..Faults::default() });
    let error = model.engine().embed_array(Images::Encoded(encoded(&good(9)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
}

#[test]
fn temporary_failures_are_tried_again_as_often_as_allowed() {
    for (retries, fine) in [("2", true), ("1", false)] {
        let faults = Faults { temporary_failures: AtomicUsize::new(2), ..Faults::default() };
        let model =
            FakeModel::new(&[("max_retries", retries), ("batch_size", "1"), ("on_error", "raise")]).with_faults(faults);
        let result = model.engine().embed_array(Images::Encoded(encoded(&good(1))));
        assert_eq!(result.is_ok(), fine, "{retries} retries");
    }
}

/// A service that does not answer some calls, asked for batches of `size`, and not again.
fn silent_on(no_answer: fn(u8) -> bool, size: &'static str, on_error: &'static str) -> FakeModel {
    let options = [("batch_size", size), ("max_retries", "0"), ("concurrency", "1"), ("on_error", on_error)];
    let faults = Faults { no_answer: Some(no_answer), ..Faults::default() };
    FakeModel::new(&options).with_faults(faults).asynchronous()
}

#[test]
fn a_call_that_fails_temporarily_to_the_end_costs_its_rows_and_no_others() {
    let rows = good(12);
    let mut model = silent_on(|red| red == 5, "4", "ignore");
    model.options.max_retries = 1;
    let batches = Arc::clone(&model.batches);
    let embedded = model.engine().embed_array(Images::Encoded(encoded(&rows))).unwrap();
    assert_eq!(*batches.lock().unwrap(), [4; 4], "one is asked for again, whole, and then given up");
    assert_eq!(embedded.errors.iter().map(|e| e.row).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert!(embedded.errors.iter().all(|e| e.error.kind() == ErrorKind::Request && e.error.is_temporary()));
    for (i, vector) in vectors(&embedded.embeddings).into_iter().enumerate() {
        let wanted = if (4..8).contains(&i) { None } else { expected(rows[i]).map(|v| v.to_vec()) };
        assert_eq!(vector, wanted, "row {i}");
    }
    let model = silent_on(|red| red == 5, "4", "raise");
    let error = model.engine().embed_array(Images::Encoded(encoded(&rows))).unwrap_err();
    assert!(error.message().starts_with("row 4: ") && error.message().contains("no answer"), "{error}");
}

#[test]
fn a_service_that_never_answered_stops_the_run_at_once() {
    let model = silent_on(|_| true, "4", "ignore");
    let batches = Arc::clone(&model.batches);
    let error = model.engine().embed_array(Images::Encoded(encoded(&good(12)))).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Request, "no answer in time"));
    assert_eq!(*batches.lock().unwrap(), [4]);
}

#[test]
fn a_service_that_answers_no_more_stops_the_run_before_long() {
    let run = |no_answer| silent_on(no_answer, "1", "ignore").engine().embed_array(Images::Encoded(encoded(&good(66))));
    let embedded = run(|red| red % 32 != 0).unwrap();
    assert_eq!(embedded.errors.len(), 63, "each time it came back before it was given up");
    let error = run(|red| red > 1).unwrap_err();
    assert!(error.message().starts_with("no vector came for 32 batches in a row: no answer"), "{error}");
}

#[test]
fn a_request_that_was_refused_is_not_split_as_its_provider_knows_better() {
    let faults = Faults { refuses: true, ..Faults::default() };
    let model = FakeModel::new(&[("batch_size", "9"), ("on_error", "ignore")]).with_faults(faults).asynchronous();
    let batches = Arc::clone(&model.batches);
    let error = model.engine().embed_array(Images::Encoded(encoded(&good(9)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert_eq!(*batches.lock().unwrap(), [9]);
}

#[test]
fn cancelling_stops_promptly_although_the_input_never_ends() {
    for is_async in [false, true] {
        let faults = Faults { delay: Duration::from_millis(30), ..Faults::default() };
        let model = FakeModel::new(&[("batch_size", "2")]).with_faults(faults);
        let engine = if is_async { model.asynchronous() } else { model }.engine();
        let endless = std::iter::repeat_with(|| Ok(chunk(&good(4), 0)));
        let mut stream = engine.embed_stream(endless).unwrap();
        assert!(stream.next().unwrap().is_ok());
        stream.cancel_handle().cancel();
        let start = Instant::now();
        let error = stream.find_map(Result::err).unwrap();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn an_asynchronous_program_may_drop_its_engine() {
    let engine = FakeModel::new(&[]).asynchronous().engine();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async move {
        let embedded = engine.embed_array(Images::Encoded(encoded(&good(3)))).unwrap();
        drop(engine);
        vectors(&embedded.embeddings).len()
    });
    assert_eq!(rows, 3);
}

#[test]
fn a_run_that_is_silent_can_be_cancelled() {
    let (_keep_open, silent) = std::sync::mpsc::channel();
    let mut stream = FakeModel::new(&[]).engine().embed_stream(silent).unwrap();
    let cancel = stream.cancel_handle();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(stream.next().is_none());
}

#[test]
fn a_run_that_is_cancelled_before_its_first_chunk_has_entered_is_not_a_whole_one() {
    // Often, as the iterator may look between the two.
    for round in 0..20 {
        let (entering, input) = std::sync::mpsc::channel();
        let mut stream = FakeModel::new(&[]).engine().embed_stream(input).unwrap();
        let cancel = stream.cancel_handle();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            cancel.cancel();
            entering.send(Ok(chunk(&good(3), 0))).unwrap();
        });
        assert_eq!(stream.next().map(|c| c.unwrap_err().kind()), Some(ErrorKind::Cancelled), "round {round}");
        assert!(stream.next().is_none());
    }
}

#[test]
fn dropping_a_stream_ends_its_threads_although_nobody_takes_the_chunks() {
    let engine = FakeModel::new(&[("batch_size", "2")]).engine();
    let stream = engine.embed_stream(std::iter::repeat_with(|| Ok(chunk(&good(4), 0)))).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    drop(stream);
}

#[test]
fn the_input_is_not_read_ahead_of_who_takes_the_chunks() {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let input = std::iter::repeat_with(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(chunk(&good(4), 0))
    });
    let engine = FakeModel::new(&[("batch_size", "4")]).engine();
    let mut stream = engine.embed_stream(input.take(100_000)).unwrap();
    assert!(stream.next().unwrap().is_ok());
    std::thread::sleep(Duration::from_millis(300));
    let ahead = pulled.load(std::sync::atomic::Ordering::SeqCst);
    assert!(ahead < 2_000, "{ahead} chunks were read for one that was taken");
}

#[test]
fn an_error_of_the_input_ends_the_run() {
    let broken = imbed_core::Error::new(ErrorKind::Io, "the disk is gone");
    let input = chunks(&good(3), 3).into_iter().chain([Err(broken)]);
    let results: Vec<_> = FakeModel::new(&[]).engine().embed_stream(input.collect::<Vec<_>>()).unwrap().collect();
    assert_eq!(results.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn an_input_that_panics_ends_the_run_with_an_error() {
    let mut chunks = chunks(&good(3), 3).into_iter();
    let input = std::iter::from_fn(move || Some(chunks.next().expect("a bug of the input")));
    let mut stream = FakeModel::new(&[]).engine().embed_stream(input).unwrap();
    let error = stream.find_map(Result::err).unwrap();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "the input panicked: a bug of the input"));
    assert!(stream.next().is_none());
}

#[test]
fn each_gpu_gets_a_worker_and_each_model_is_loaded_once() {
    let model = FakeModel::new(&[("batch_size", "1")]);
    let loads = Arc::clone(&model.loads);
    let engine = model
        .builder()
        .inventory(Arc::new(FixedInventory { cuda: 2, metal: 0 }))
        .allocator(Allocator::default())
        .build()
        .unwrap();
    assert_eq!(engine.plan().workers.value, 2);
    for _ in 0..3 {
        assert_eq!(engine.embed_stream(chunks(&good(8), 2)).unwrap().flatten().count(), 4);
    }
    let loads = loads.lock().unwrap().clone();
    assert_eq!(loads.into_iter().collect::<Vec<_>>(), [(Device::Cuda(0), 1), (Device::Cuda(1), 1)]);
}

#[test]
fn two_runs_do_not_take_the_same_gpu() {
    let allocator = Allocator::default();
    let engine = || {
        FakeModel::new(&[("device", "cuda"), ("concurrency", "1")])
            .builder()
            .inventory(Arc::new(FixedInventory { cuda: 1, metal: 0 }))
            .allocator(allocator.clone())
            .build()
            .unwrap()
    };
    let first = engine().embed_stream(std::iter::repeat_with(|| Ok(chunk(&good(1), 0)))).unwrap();
    assert_eq!(engine().embed_stream([]).unwrap_err().kind(), ErrorKind::Device);
    drop(first);
    assert!(engine().embed_stream([]).is_ok());
}
