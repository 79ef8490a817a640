//! Identical images are embedded once, and nobody can tell by the vectors.

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use arrow_array::{ArrayRef, StringArray};
use imbed_core::{
    ErrorKind,
    arrow::images_to_array,
    image::{DecodeOptions, Image, Mode, Samples},
    options::{Alpha, OnError},
};
use imbed_engine::{Engine, Images, MetricsSnapshot, Step, Steps};
use proptest::prelude::*;
use support::{FakeModel, Faults, Row, chunk, chunks, encoded, expected, vectors};

/// The red of an image whose vector is not finite.
const FAILS: u8 = 5;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = prop_oneof![
        8 => (0u8..8).prop_map(|red| Row::Good([red, 1, 2])),
        1 => Just(Row::Null),
        1 => Just(Row::Bad),
    ];
    prop::collection::vec(row, 0..120)
}

/// Vectors, each as the bits of its numbers.
type Bits = Vec<Option<Vec<u32>>>;

/// What a run gives: vectors to the bit, which rows failed and why, and the counters.
fn run(engine: &Engine, rows: &[Row], chunk_size: usize) -> (Bits, Vec<String>, MetricsSnapshot, usize) {
    let mut stream = engine.embed_stream(chunks(rows, chunk_size)).unwrap();
    let (mut seen, mut errors, mut copies) = (Vec::new(), Vec::new(), 0);
    for part in stream.by_ref() {
        let part = part.unwrap();
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect();
        seen.extend(vectors(&part.embeddings).into_iter().map(|v| v.map(bits)));
        errors.extend(part.errors.iter().map(ToString::to_string));
        copies += part.copies;
    }
    (seen, errors, stream.metrics(), copies)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn vectors_and_errors_are_the_same_to_the_bit_and_the_model_sees_each_image_once(
        rows in rows(), chunk_size in 1usize..20, batch_size in 1usize..20, is_async: bool,
    ) {
        let embed = |dedupe| {
            let faults = Faults { nan_on_red: Some(FAILS), ..Faults::default() };
            let mut model =
                FakeModel::new(&[("on_error", "ignore"), ("dedupe", dedupe), ("normalize", "true")]).with_faults(faults);
            model.options.batch_size = batch_size.try_into().ok();
            let batches = Arc::clone(&model.batches);
            let engine = if is_async { model.asynchronous() } else { model }.engine();
            let outcome = run(&engine, &rows, chunk_size);
            let images: usize = batches.lock().unwrap().iter().sum();
            (outcome, images)
        };
        let ((with, with_errors, metrics, copies), images) = embed("true");
        let ((without, without_errors, all, none), all_images) = embed("false");
        prop_assert_eq!(with, without);
        prop_assert_eq!(with_errors, without_errors);
        let good = || rows.iter().filter_map(|row| if let Row::Good([red, ..]) = row { Some(*red) } else { None });
        let distinct: BTreeSet<u8> = good().collect();
        prop_assert_eq!(images, distinct.len());
        prop_assert_eq!(all_images, good().count());
        let repeated = good().filter(|red| *red != FAILS).count() - distinct.iter().filter(|red| **red != FAILS).count();
        prop_assert_eq!((metrics.copies as usize, copies), (repeated, repeated));
        prop_assert_eq!((all.copies, none), (0, 0));
        prop_assert_eq!((metrics.rows, metrics.embedded, metrics.nulls), (all.rows, all.embedded, all.nulls));
        prop_assert_eq!(metrics.errors, all.errors);
    }
}

#[test]
fn which_rows_share_a_batch_hangs_on_the_input_alone() {
    let rows: Vec<Row> = (0..400u32).map(|i| Row::Good([(i * i % 61) as u8, 0, 0])).collect();
    let batches = || {
        let model = FakeModel::new(&[("batch_size", "7")]);
        let batches = Arc::clone(&model.batches);
        run(&model.builder().cpu_threads(Some(4)).build().unwrap(), &rows, 9);
        batches.lock().unwrap().clone()
    };
    let first = batches();
    assert!((0..10).all(|_| batches() == first), "{first:?}");
}

#[test]
fn a_batch_that_copies_wait_for_runs_although_it_is_never_full() {
    for is_async in [false, true] {
        let model = FakeModel::new(&[("batch_size", "8")]);
        let batches = Arc::clone(&model.batches);
        let engine = if is_async { model.asynchronous() } else { model }.engine();
        // An input that goes on until somebody has seen a vector.
        let mut stream = engine.embed_stream(std::iter::repeat_with(|| Ok(chunk(&[Row::Good([3; 3]); 5], 0)))).unwrap();
        for _ in 0..200 {
            let part = stream.next().unwrap().unwrap();
            assert_eq!(vectors(&part.embeddings), vec![expected(Row::Good([3; 3])).map(|v| v.to_vec()); 5]);
        }
        drop(stream);
        assert_eq!(*batches.lock().unwrap(), [1]);
    }
}

#[test]
fn copies_do_not_pile_up_behind_a_slow_call() {
    const CALL: Duration = Duration::from_millis(400);
    // A machine that stood still may have slept through the whole call, which then says nothing.
    let looks_in_time = |is_async: bool| {
        let faults = Faults { delay: CALL, ..Faults::default() };
        let model = FakeModel::new(&[("batch_size", "4"), ("concurrency", "1")]).with_faults(faults);
        let model = if is_async { model.asynchronous() } else { model };
        // One thread: of two, one may sleep over its row while the other prepares as many as memory holds.
        let engine = model.builder().cpu_threads(Some(1)).build().unwrap();
        let pulled = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&pulled);
        let input = std::iter::repeat_with(move || {
            counter.fetch_add(1, SeqCst);
            Ok(chunk(&[Row::Good([9; 3]); 50], 0))
        });
        let begun = Instant::now();
        let mut stream = engine.embed_stream(input).unwrap();
        std::thread::sleep(CALL / 2);
        let ahead = pulled.load(SeqCst);
        let in_time = begun.elapsed() < CALL;
        assert!(!in_time || ahead < 10, "{ahead} chunks of 50 rows were let in behind one call");
        assert!(stream.next().unwrap().is_ok());
        in_time
    };
    for is_async in [false, true] {
        assert!((0..20).any(|_| looks_in_time(is_async)), "the machine stood still each time");
    }
}

#[test]
fn an_image_that_failed_makes_each_of_its_copies_fail_under_its_own_name() {
    let rows = [Row::Good([FAILS; 3]), Row::Bad, Row::Good([FAILS; 3]), Row::Good([1; 3]), Row::Bad, Row::Bad];
    let faults = || Faults { panics_on_red: Some(FAILS), ..Faults::default() };
    let mut chunk = chunk(&rows, 0);
    chunk.labels = Some(Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"])));
    for batch in ["1", "2", "8"] {
        let model = FakeModel::new(&[("on_error", "ignore"), ("batch_size", batch)]).with_faults(faults());
        // The model must have proven itself before an image alone is at fault.
        let engine = model.engine();
        let first = Ok(support::chunk(&[Row::Good([7; 3])], 0));
        let mut stream = engine.embed_stream([first, Ok(chunk.clone())]).unwrap();
        stream.next().unwrap().unwrap();
        let part = stream.next().unwrap().unwrap();
        let places: Vec<String> = part.errors.iter().map(imbed_engine::RowError::place).collect();
        assert_eq!(places, ["row 1 (a)", "row 2 (b)", "row 3 (c)", "row 5 (e)", "row 6 (f)"], "batches of {batch}");
        assert_eq!(part.errors[2].error.kind(), ErrorKind::Internal);
        assert!(vectors(&part.embeddings)[3].is_some());
    }
    for _ in 0..20 {
        let rows = [Row::Good([1; 3]), Row::Bad, Row::Bad, Row::Bad];
        let error = FakeModel::new(&[]).engine().embed_array(Images::Encoded(encoded(&rows))).unwrap_err();
        assert!(error.message().starts_with("row 1: "), "{error}");
    }
}

#[test]
fn an_image_that_failed_for_a_passing_reason_is_tried_again() {
    let options = [("batch_size", "1"), ("max_retries", "0"), ("concurrency", "1"), ("on_error", "ignore")];
    let faults = Faults { no_answer: Some(once_on_two), ..Faults::default() };
    let engine = FakeModel::new(&options).with_faults(faults).asynchronous().engine();
    let (send, receive) = std::sync::mpsc::channel();
    let mut stream = engine.embed_stream(receive.into_iter().map(Ok)).unwrap();
    let mut embed = |red: u8| {
        send.send(chunk(&[Row::Good([red; 3])], 0)).unwrap();
        vectors(&stream.next().unwrap().unwrap().embeddings)[0].is_some()
    };
    assert!(embed(1));
    assert!(!embed(2));
    assert!(embed(2));
}

/// No answer the first time that an image with a red of 2 is asked for.
fn once_on_two(red: u8) -> bool {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    red == 2 && ASKED.fetch_add(1, SeqCst) == 0
}

#[test]
fn files_are_told_apart_by_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a.png", "copy of a.png", "b.png"].map(|name| dir.path().join(name).display().to_string());
    for (name, red) in names.iter().zip([1, 1, 2]) {
        std::fs::write(name, support::png([red; 3])).unwrap();
    }
    let paths: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let model = FakeModel::new(&[]);
    let batches = Arc::clone(&model.batches);
    let embedded = model.engine().embed_array(Images::Paths(paths)).unwrap();
    let reds: Vec<f32> = vectors(&embedded.embeddings).into_iter().map(|v| v.unwrap()[0]).collect();
    assert_eq!(reds, [1.0, 1.0, 2.0]);
    assert_eq!(*batches.lock().unwrap(), [2]);
}

#[test]
fn decoded_images_are_told_apart_by_their_pixels() {
    let image = |red, width| Some(Image::new(Mode::Rgb, width, 2, Samples::U8([red, 8, 9].repeat(4))).unwrap());
    let images = [image(7, 2), image(6, 2), None, image(7, 2), image(7, 2)];
    let (field, array) = images_to_array("image", &images).unwrap();
    let model = FakeModel::new(&[]);
    let batches = Arc::clone(&model.batches);
    let embedded = model.engine().embed_array(Images::Decoded { array, field: Arc::new(field) }).unwrap();
    let reds: Vec<Option<f32>> = vectors(&embedded.embeddings).into_iter().map(|v| v.map(|v| v[0])).collect();
    assert_eq!(reds, [Some(7.0), Some(6.0), None, Some(7.0), Some(7.0)]);
    assert_eq!(*batches.lock().unwrap(), [2]);
}

#[test]
fn what_is_done_to_an_image_first_makes_it_another() {
    let rows = [Row::Good([90, 0, 200]), Row::Good([90, 0, 200]), Row::Bad];
    let changed = |mode, on_error| {
        let then = vec![Step::Convert { mode, alpha: Alpha::Drop }];
        let steps = Arc::new(Steps { decode: DecodeOptions::default(), then, on_error });
        let mut chunk = chunk(&rows, 0);
        chunk.images = Images::Changed { images: Box::new(Images::Encoded(encoded(&rows))), steps };
        Ok(chunk)
    };
    let parts = [
        changed(Mode::L, OnError::Raise),
        changed(Mode::Rgb, OnError::Raise),
        changed(Mode::L, OnError::Ignore),
        changed(Mode::L, OnError::Raise),
    ];
    let engine = FakeModel::new(&[("on_error", "ignore")]).engine();
    let mut stream = engine.embed_stream(parts).unwrap();
    let mut reds = Vec::new();
    let mut failed = Vec::new();
    for part in stream.by_ref() {
        let part = part.unwrap();
        let red = |i: usize| vectors(&part.embeddings)[i].as_ref().map(|v| v[0]);
        assert_eq!((red(0), red(2)), (red(1), None));
        reds.push(red(0).unwrap());
        failed.push(part.errors.len());
    }
    assert_eq!(reds[1], 90.0);
    assert!(reds[0] != 90.0 && reds[0] == reds[2] && reds[0] == reds[3], "{reds:?}");
    assert_eq!(failed, [1, 1, 0, 1], "a step that makes such rows null leaves nothing to report");
    assert_eq!(stream.metrics().copies, 5);
}
