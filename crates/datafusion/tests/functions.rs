//! The functions on images and vectors, from SQL, against the same operations on one image or a plain loop.

mod support;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Int64Array, LargeListArray, ListArray, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type, UInt32Type},
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema};
use datafusion::{datasource::MemTable, prelude::SessionContext};
use imbed_core::{
    ErrorKind,
    arrow::{ImageColumn, ImageType, Provenance, embedding_field},
    image::{DecodeOptions, EncodeFormat, Filter, Image, Mode, SampleType, Samples, decode, encode},
    options::Alpha,
};
use proptest::prelude::*;
use support::{error, rows, texts, tiny};

/// Images of different modes and sizes, and a null.
fn pictures() -> Vec<Option<Image>> {
    let image = |mode: Mode, width: u32, height: u32| {
        let n = width * height * mode.channels() as u32;
        let samples = match mode.sample_type() {
            SampleType::U8 => Samples::U8((0..n).map(|i| (i * 29) as u8).collect()),
            SampleType::U16 => Samples::U16((0..n).map(|i| (i * 2903) as u16).collect()),
            SampleType::F32 => unreachable!(),
        };
        Some(Image::new(mode, width, height, samples).unwrap())
    };
    vec![
        image(Mode::Rgb, 9, 7),
        image(Mode::L, 5, 8),
        None,
        image(Mode::Rgba, 6, 6),
        image(Mode::L16, 4, 4),
        image(Mode::Rgb16, 7, 5),
    ]
}

fn files() -> ArrayRef {
    let files = pictures().into_iter().map(|image| image.map(|image| encode(&image, EncodeFormat::Png).unwrap()));
    Arc::new(files.collect::<BinaryArray>())
}

fn register(context: &SessionContext, columns: Vec<(Field, ArrayRef)>) {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    context.deregister_table("t").unwrap();
    context.register_table("t", Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())).unwrap();
}

fn plain(name: &str, array: ArrayRef) -> (Field, ArrayRef) {
    (Field::new(name, array.data_type().clone(), true), array)
}

fn with_files() -> SessionContext {
    let context = tiny();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
    register(&context, vec![plain("id", ids), plain("image", files())]);
    context
}

fn images(batch: &RecordBatch) -> Vec<Option<Image>> {
    let column = ImageColumn::try_new(batch.schema_ref().field(0), batch.column(0)).unwrap();
    column.iter().map(Result::unwrap).collect()
}

fn each(f: impl Fn(&Image) -> Image) -> Vec<Option<Image>> {
    pictures().iter().map(|image| image.as_ref().map(&f)).collect()
}

/// As `decode_image` gives it without a mode.
fn eight_bits(image: &Image) -> Image {
    image.convert(Mode::of(SampleType::U8, image.mode().channels()).unwrap(), Alpha::Drop)
}

#[tokio::test]
async fn images_are_decoded_converted_resized_and_cut_as_one_image_is() {
    let context = with_files();
    let decoded = rows(&context, "SELECT decode_image(image) FROM t ORDER BY id").await;
    assert_eq!(images(&decoded), each(eight_bits));
    assert_eq!(ImageType::of_field(decoded.schema().field(0)), Some(ImageType::Variable { samples: SampleType::U8 }));

    let wide = rows(&context, "SELECT decode_image(image, mode => 'RGB16') FROM t ORDER BY id").await;
    assert_eq!(images(&wide), each(|i| i.convert(Mode::Rgb16, Alpha::Drop)));

    let white =
        rows(&context, "SELECT convert_image(decode_image(image), 'RGB', alpha => 'white') FROM t ORDER BY id").await;
    assert_eq!(images(&white), each(|i| eight_bits(i).convert(Mode::Rgb, Alpha::Over([255; 3]))));

    let query =
        "SELECT resize_image(decode_image(image, mode => 'RGB'), 4, 3, filter => 'bilinear') AS r FROM t ORDER BY id";
    let resized = rows(&context, query).await;
    let small = |i: &Image| i.convert(Mode::Rgb, Alpha::Drop).resize(4, 3, Filter::Bilinear).unwrap();
    assert_eq!(images(&resized), each(small));
    let fixed = ImageType::Fixed { mode: Mode::Rgb, height: 3, width: 4 };
    assert_eq!(ImageType::of_field(resized.schema().field(0)), Some(fixed));

    let cut = rows(&context, "SELECT crop_image(decode_image(image), 1, 2, 3, 2) FROM t ORDER BY id").await;
    assert_eq!(images(&cut), each(|i| eight_bits(i).crop(1, 2, 3, 2).unwrap()));
}

#[tokio::test]
async fn what_is_known_of_images_survives_subqueries_and_views() {
    let context = with_files();
    let query = "WITH a AS (SELECT id, decode_image(image) AS i FROM t), \
                 b AS (SELECT id, convert_image(i, 'L') AS i FROM a WHERE id <> 3) \
                 SELECT resize_image(i, 2, 2) AS small FROM b ORDER BY id";
    let batch = rows(&context, query).await;
    let fixed = ImageType::Fixed { mode: Mode::L, height: 2, width: 2 };
    assert_eq!(ImageType::of_field(batch.schema().field(0)), Some(fixed));
    assert_eq!(images(&batch).len(), 5);
    rows(&context, "CREATE VIEW v AS SELECT id, decode_image(image) AS i FROM t").await;
    let modes = rows(&context, "SELECT image_mode(i) FROM v ORDER BY id").await;
    let wanted = ["RGB", "L", "", "RGBA", "L", "RGB"].map(|m| (!m.is_empty()).then(|| m.to_owned()));
    assert_eq!(texts(modes.column(0)), wanted);
}

#[tokio::test]
async fn widths_heights_and_channels_are_numbers() {
    let context = with_files();
    let query = "SELECT image_width(i), image_height(i), image_channels(i) \
                 FROM (SELECT id, decode_image(image) AS i FROM t) ORDER BY id";
    let batch = rows(&context, query).await;
    let numbers = |i: usize| batch.column(i).as_primitive::<UInt32Type>().iter().collect::<Vec<_>>();
    assert_eq!(numbers(0), [Some(9), Some(5), None, Some(6), Some(4), Some(7)]);
    assert_eq!(numbers(1), [Some(7), Some(8), None, Some(6), Some(4), Some(5)]);
    assert_eq!(numbers(2), [Some(3), Some(1), None, Some(4), Some(1), Some(3)]);
}

#[tokio::test]
async fn boxes_may_be_columns() {
    let context = tiny();
    let sides: [ArrayRef; 2] = [
        Arc::new(Int64Array::from(vec![1, 0, 0, 0, 0, 0])),
        Arc::new(Int64Array::from(vec![Some(2), None, Some(1), Some(3), Some(1), Some(1)])),
    ];
    let [x, w] = sides;
    register(&context, vec![plain("image", files()), plain("x", x), plain("w", w)]);
    let batch = rows(&context, "SELECT crop_image(decode_image(image), x, 0, w, 2) FROM t").await;
    let sizes: Vec<_> = images(&batch).iter().map(|i| i.as_ref().map(|i| (i.width(), i.height()))).collect();
    assert_eq!(sizes, [Some((2, 2)), None, None, Some((3, 2)), Some((1, 2)), Some((1, 2))]);

    let outside = error(&context, "SELECT crop_image(decode_image(image), 5, 5, 3, 2) FROM t").await;
    assert!(outside.message().contains("leaves the image"), "{outside}");
    let query = "SELECT count(crop_image(decode_image(image), 100, 0, 1, 1, on_error => 'ignore')) FROM t";
    assert_eq!(rows(&context, query).await.column(0).as_primitive::<Int64Type>().value(0), 0);
}

#[tokio::test]
async fn encoded_images_can_be_decoded_again() {
    let context = with_files();
    let batch = rows(&context, "SELECT encode_image(decode_image(image), 'png') FROM t ORDER BY id").await;
    let again: Vec<_> = batch
        .column(0)
        .as_binary::<i64>()
        .iter()
        .map(|f| f.map(|f| decode(f, &DecodeOptions::default()).unwrap()))
        .collect();
    assert_eq!(again, each(eight_bits));
    for (call, kind, message) in [
        ("encode_image(decode_image(image), 'jpeg')", ErrorKind::Unsupported, "JPEG does not hold"),
        ("encode_image(decode_image(image), 'jxl')", ErrorKind::BadOption, "'jxl'"),
        ("encode_image(decode_image(image), 'png', quality => 5)", ErrorKind::BadOption, "quality"),
        ("encode_image(decode_image(image), 'jpeg', quality => 500)", ErrorKind::BadOption, "quality"),
        ("encode_image(image, 'png')", ErrorKind::BadInput, "holds no images"),
        ("resize_image(decode_image(image), 0, 3)", ErrorKind::BadOption, "width"),
        ("resize_image(decode_image(image), 3, NULL)", ErrorKind::BadOption, "height"),
        ("resize_image(decode_image(image), id, 3)", ErrorKind::BadOption, "constant"),
        ("convert_image(decode_image(image), 'CMYK')", ErrorKind::BadOption, "CMYK"),
        ("decode_image(id)", ErrorKind::BadInput, "holds no encoded images"),
        ("decode_image(decode_image(image))", ErrorKind::BadInput, "holds no encoded images"),
        ("decode_image(image, frame => 'x')", ErrorKind::BadOption, "frame"),
    ] {
        let found = error(&context, &format!("SELECT {call} FROM t")).await;
        assert_eq!(found.kind(), kind, "{call}: {found}");
        assert!(found.message().contains(message), "{call}: {found}");
    }
}

#[tokio::test]
async fn files_that_are_no_images_stop_the_query_or_become_null() {
    let context = tiny();
    let files: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"no"), None]));
    register(&context, vec![plain("image", files)]);
    let raised = error(&context, "SELECT decode_image(image) FROM t").await;
    assert_eq!(raised.kind(), ErrorKind::Decode);
    assert!(raised.message().contains("decode_image: row 0"), "{raised}");
    let batch = rows(&context, "SELECT decode_image(image, on_error => 'ignore') FROM t").await;
    assert_eq!(batch.column(0).null_count(), 2);
    let batch = rows(&context, "SELECT decode_image(NULL)").await;
    assert_eq!(batch.column(0).null_count(), 1);
}

/// A column of vectors in one of the layouts that are read.
fn layout(rows: &[Option<Vec<f32>>], which: usize) -> ArrayRef {
    let wide =
        || rows.iter().map(|row| row.as_ref().map(|row| row.iter().map(|n| Some(f64::from(*n))).collect::<Vec<_>>()));
    let single = || rows.iter().map(|row| row.as_ref().map(|row| row.iter().copied().map(Some).collect::<Vec<_>>()));
    match which {
        0 => {
            let item = Arc::new(Field::new("item", DataType::Float32, false));
            let values = rows.iter().flat_map(|row| row.clone().unwrap_or(vec![7.0; 3]));
            let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
            let values = Arc::new(Float32Array::from_iter_values(values));
            Arc::new(FixedSizeListArray::new(item, 3, values, Some(nulls)))
        }
        1 => Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(wide(), 3)),
        2 => Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(single())),
        _ => Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(wide())),
    }
}

fn vector() -> impl Strategy<Value = Option<Vec<f32>>> {
    let number = prop_oneof![3 => -4.0f32..4.0, 1 => Just(0.0f32)];
    prop_oneof![
        6 => prop::collection::vec(number, 3).prop_map(Some),
        1 => Just(Some(vec![0.0; 3])),
        1 => Just(None),
    ]
}

/// By a plain loop: the cosine, the product and the distance.
fn by_hand(a: &[f32], b: &[f32]) -> (Option<f64>, f64, f64) {
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f((*a).into(), (*b).into())).sum::<f64>();
    let product = sum(&|a, b| a * b);
    let length = |v: &[f32]| v.iter().map(|n| f64::from(*n) * f64::from(*n)).sum::<f64>().sqrt();
    let lengths = length(a) * length(b);
    let cosine = (lengths != 0.0).then(|| product / lengths);
    (cosine, product, sum(&|a, b| (a - b) * (a - b)).sqrt())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn numbers_of_pairs_are_those_of_a_plain_loop_in_every_layout(
        pairs in prop::collection::vec((vector(), vector()), 1..20), left in 0usize..4, right in 0usize..4,
    ) {
        let (a, b): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let batch = runtime.block_on(async {
            let context = tiny();
            register(&context, vec![plain("a", layout(&a, left)), plain("b", layout(&b, right))]);
            let query = "SELECT cosine_similarity(a, b), cosine_distance(a, b), dot_product(a, b), euclidean_distance(a, b), \
                         cosine_similarity(a, [1, 2, 3]), l2_normalize(a) FROM t";
            rows(&context, query).await
        });
        let near = |found: Option<f64>, wanted: Option<f64>| match (found, wanted) {
            (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-6,
            (found, wanted) => found == wanted,
        };
        let number = |column: usize, row: usize| {
            let numbers = batch.column(column).as_primitive::<Float64Type>();
            numbers.is_valid(row).then(|| numbers.value(row))
        };
        for (row, (a, b)) in pairs.iter().enumerate() {
            let both = a.as_ref().zip(b.as_ref()).map(|(a, b)| by_hand(a, b));
            let cosine = both.and_then(|(cosine, ..)| cosine);
            prop_assert!(near(number(0, row), cosine), "{row}: {:?} {:?}", number(0, row), cosine);
            prop_assert!(near(number(1, row), cosine.map(|c| 1.0 - c)));
            prop_assert!(near(number(2, row), both.map(|(_, product, _)| product)));
            prop_assert!(near(number(3, row), both.map(|(.., distance)| distance)));
            let query = a.as_ref().and_then(|a| by_hand(a, &[1.0, 2.0, 3.0]).0);
            prop_assert!(near(number(4, row), query));
            let unit = imbed_core::arrow::VectorColumn::try_new(batch.column(5)).unwrap().get(row);
            let has_length = a.as_ref().is_some_and(|a| a.iter().any(|n| *n != 0.0));
            prop_assert_eq!(unit.is_some(), has_length);
            prop_assert!(unit.is_none_or(|unit| (unit.norm() - 1.0).abs() < 1e-6));
        }
    }
}

#[tokio::test]
async fn vectors_of_different_lengths_are_an_error_that_says_so() {
    let context = tiny();
    let rows = [Some(vec![1.0f32, 2.0, 3.0])];
    register(&context, vec![plain("a", layout(&rows, 0)), plain("b", layout(&rows, 2))]);
    for query in ["SELECT dot_product(a, [1, 2]) FROM t", "SELECT dot_product(b, [1, 2]) FROM t"] {
        let found = error(&context, query).await;
        assert_eq!(found.kind(), ErrorKind::Dimensions);
        assert!(found.message().contains("3 and 2 numbers"), "{found}");
    }
    let found = error(&context, "SELECT dot_product(a, 'x') FROM t").await;
    assert!(found.message().contains("holds no vectors"), "{found}");
}

#[tokio::test]
async fn normalised_vectors_say_so_and_what_made_them() {
    let context = tiny();
    let made = Provenance { provider: "p".into(), model: "m".into(), version: "1".into(), ..Provenance::default() };
    register(&context, vec![(embedding_field("e", 3, &made), layout(&[Some(vec![3.0, 0.0, 4.0]), None], 0))]);
    let batch = rows(&context, "SELECT l2_normalize(e) AS unit FROM t").await;
    let found = Provenance::from_metadata(batch.schema().field(0).metadata()).unwrap();
    assert_eq!(found, Provenance { normalized: true, ..made });
    assert_eq!(support::vectors(batch.column(0)), [Some(vec![0.6, 0.0, 0.8]), None]);
}

#[tokio::test]
async fn functions_work_on_one_row_of_constants() {
    let context = tiny();
    let batch = rows(
        &context,
        "SELECT cosine_similarity([1, 0], [1, 0]), dot_product([1, 2], [3, 4]), cosine_similarity(NULL, [1])",
    )
    .await;
    let number = |i: usize| batch.column(i).as_primitive::<Float64Type>().iter().next().unwrap();
    assert_eq!((number(0), number(1), number(2)), (Some(1.0), Some(11.0), None));
}
