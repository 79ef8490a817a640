//! Every row comes out once, in its place, whatever its neighbours are.

mod support;

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use imbed_core::{
    ErrorKind,
    arrow::images_to_array,
    image::{DecodeOptions, Image, Mode, Samples},
    options::{Alpha, OnError},
};
use imbed_engine::{Images, Step, Steps};
use proptest::prelude::*;
use support::{FakeModel, Row, chunk, chunks, encoded, expected, vectors};

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = prop_oneof![
        6 => any::<[u8; 3]>().prop_map(Row::Good),
        1 => Just(Row::Null),
        1 => Just(Row::Bad),
    ];
    prop::collection::vec(row, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_keep_their_order_nulls_stay_null_and_bad_rows_cost_nothing_else(
        rows in rows(), chunk_size in 1usize..20, batch_size in 1usize..20, is_async: bool,
    ) {
        let mut model = FakeModel::new(&[("on_error", "ignore")]);
        model.options.batch_size = batch_size.try_into().ok();
        let engine = if is_async { model.asynchronous() } else { model }.engine();
        let (mut seen, mut ids, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for part in engine.embed_stream(chunks(&rows, chunk_size)).unwrap() {
            let part = part.unwrap();
            seen.extend(vectors(&part.embeddings));
            ids.extend(part.batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec());
            bad.extend(part.errors.iter().map(|e| e.absolute_row as usize));
        }
        let wanted: Vec<Option<Vec<f32>>> = rows.iter().map(|row| expected(*row).map(|v| v.to_vec())).collect();
        prop_assert_eq!(seen, wanted);
        prop_assert_eq!(ids, (0..rows.len() as i64).collect::<Vec<_>>());
        let wanted_bad: Vec<usize> = (0..rows.len()).filter(|i| rows[*i] == Row::Bad).collect();
        prop_assert_eq!(bad, wanted_bad);
    }
}

#[test]
fn batches_are_full_across_chunks_and_only_the_last_is_short() {
    let model = FakeModel::new(&[("batch_size", "8")]);
    let batches = Arc::clone(&model.batches);
    let rows: Vec<Row> = (0..30).map(|i| if i % 5 == 4 { Row::Null } else { Row::Good([i; 3]) }).collect();
    let engine = model.engine();
    assert_eq!(engine.embed_stream(chunks(&rows, 3)).unwrap().flatten().count(), 10);
    assert_eq!(*batches.lock().unwrap(), [8, 8, 8]);
}

#[test]
fn raise_names_the_first_bad_row_in_input_order_and_its_label() {
    let rows = [Row::Good([1; 3]), Row::Null, Row::Bad, Row::Bad];
    let mut chunk = chunk(&rows, 0);
    chunk.labels = Some(Arc::new(StringArray::from(vec!["a.png", "b.png", "c.png", "d.png"])));
    let mut stream = FakeModel::new(&[]).engine().embed_stream([Ok(chunk)]).unwrap();
    let error = stream.next().unwrap().unwrap_err();
    assert!(error.message().starts_with("row 2 (c.png): "), "{error}");
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.hint_text().is_some());
    assert!(stream.next().is_none());
}

#[test]
fn counts_add_up() {
    let rows = [Row::Good([1; 3]), Row::Null, Row::Bad, Row::Good([2; 3])];
    let mut stream = FakeModel::new(&[("on_error", "log")]).engine().embed_stream([Ok(chunk(&rows, 0))]).unwrap();
    assert_eq!(stream.next().unwrap().unwrap().errors.len(), 1);
    assert!(stream.next().is_none());
    let metrics = stream.metrics();
    assert_eq!((metrics.rows, metrics.embedded, metrics.nulls, metrics.failed()), (4, 2, 1, 1));
    assert_eq!(metrics.errors[&ErrorKind::Decode], 1);
}

#[test]
fn files_are_read_by_path_and_a_missing_one_is_a_row_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.png");
    std::fs::write(&good, support::png([9, 8, 7])).unwrap();
    let missing = dir.path().join("missing.png").display().to_string();
    let paths: ArrayRef =
        Arc::new(StringArray::from(vec![Some(good.display().to_string()), Some(missing.clone()), None]));
    let embedded = FakeModel::new(&[("on_error", "ignore")]).engine().embed_array(Images::Paths(paths)).unwrap();
    assert_eq!(vectors(&embedded.embeddings), [Some(vec![9.0, 8.0, 7.0, 1.0]), None, None]);
    assert_eq!(embedded.errors.len(), 1);
    assert_eq!(embedded.errors[0].error.kind(), ErrorKind::Io);
    assert_eq!(embedded.errors[0].label.as_deref(), Some(missing.as_str()));
}

#[test]
fn paths_stand_in_where_bytes_are_null() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.png");
    std::fs::write(&file, support::png([5; 3])).unwrap();
    let file = file.display().to_string();
    let bytes = encoded(&[Row::Good([1; 3]), Row::Null, Row::Null]);
    let paths: ArrayRef = Arc::new(StringArray::from(vec![Some("ignored"), Some(file.as_str()), None]));
    let embedded = FakeModel::new(&[]).engine().embed_array(Images::BytesOrPaths { bytes, paths }).unwrap();
    let reds: Vec<_> = vectors(&embedded.embeddings).into_iter().map(|v| v.map(|v| v[0])).collect();
    assert_eq!(reds, [Some(1.0), Some(5.0), None]);
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big.png");
    std::fs::write(&file, vec![0; 4096]).unwrap();
    let mut decode = imbed_core::image::DecodeOptions::default();
    decode.limits.max_bytes = 100;
    let engine = FakeModel::new(&[("on_error", "ignore")]).builder().decode(decode).build().unwrap();
    let paths: ArrayRef = Arc::new(StringArray::from(vec![file.display().to_string()]));
    let embedded = engine.embed_array(Images::Paths(paths)).unwrap();
    assert_eq!(embedded.errors[0].error.kind(), ErrorKind::Limit);
}

#[test]
fn a_column_that_is_no_image_column_is_an_error_and_not_a_panic() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let error = FakeModel::new(&[]).engine().embed_array(Images::Encoded(numbers)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
}

#[test]
fn vectors_are_cut_and_scaled_as_asked() {
    let engine = FakeModel::new(&[("dimensions", "2")]).engine();
    let embedded = engine.embed_array(Images::Encoded(encoded(&[Row::Good([3, 4, 99])]))).unwrap();
    assert_eq!(vectors(&embedded.embeddings), [Some(vec![0.6, 0.8])]);
    assert_eq!(embedded.embeddings.value_length(), 2);
    let field = engine.field("e").unwrap();
    assert_eq!(field.metadata()["imbed.normalized"], "true");
    assert_eq!(field.data_type(), embedded.embeddings.data_type());
}

#[test]
fn no_rows_give_no_vectors() {
    let engine = FakeModel::new(&[]).engine();
    assert_eq!(engine.embed_array(Images::Encoded(encoded(&[]))).unwrap().embeddings.len(), 0);
    assert_eq!(engine.embed_stream([]).unwrap().count(), 0);
}

#[test]
fn decoded_images_need_no_decoding_and_give_the_same_vectors() {
    let image = Image::new(Mode::Rgb, 2, 2, Samples::U8([7, 8, 9].repeat(4))).unwrap();
    let (field, array) = images_to_array("image", &[Some(image), None]).unwrap();
    let embedded = FakeModel::new(&[]).engine().embed_array(Images::Decoded { array, field: Arc::new(field) }).unwrap();
    assert_eq!(vectors(&embedded.embeddings), [Some(vec![7.0, 8.0, 9.0, 1.0]), None]);
}

#[test]
fn an_input_that_pauses_does_not_keep_its_rows_waiting_for_a_full_batch() {
    let engine = FakeModel::new(&[("batch_size", "8")]).builder().linger(Duration::from_millis(5)).build().unwrap();
    let (send, receive) = mpsc::channel();
    let mut stream = engine.embed_stream(receive.into_iter().map(Ok)).unwrap();
    for colour in [[1, 2, 3], [4, 5, 6]] {
        send.send(chunk(&[Row::Good(colour)], 0)).unwrap();
        let part = stream.next().unwrap().unwrap();
        assert_eq!(vectors(&part.embeddings)[0].as_deref(), expected(Row::Good(colour)).as_ref().map(|v| &v[..]));
    }
    drop(send);
    assert!(stream.next().is_none());
}

#[test]
fn steps_come_before_the_models_own_preprocessing() {
    let rows = [Row::Good([9, 0, 200]), Row::Null, Row::Bad];
    let steps = |on_error| {
        Arc::new(Steps {
            decode: DecodeOptions::default(),
            then: vec![Step::Convert { mode: Mode::L, alpha: Alpha::Drop }],
            on_error,
        })
    };
    let changed =
        |on_error| Images::Changed { images: Box::new(Images::Encoded(encoded(&rows))), steps: steps(on_error) };
    let engine = FakeModel::new(&[("on_error", "ignore")]).engine();
    let grey = engine.embed_array(changed(OnError::Raise)).unwrap();
    let found = vectors(&grey.embeddings);
    let pixel = &found[0].as_ref().unwrap()[..3];
    assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2], "{pixel:?}");
    assert!(found[1].is_none() && found[2].is_none());
    assert_eq!(grey.errors.len(), 1);
    // A step that makes such rows null leaves nothing to report.
    assert!(engine.embed_array(changed(OnError::Ignore)).unwrap().errors.is_empty());
}
