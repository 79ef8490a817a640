//! `embed_image`: the model is decided when a query is planned, loaded once, and shared.

mod support;

use std::sync::{Arc, atomic::Ordering::SeqCst};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, cast::AsArray, types::Int64Type};
use arrow_schema::{DataType, Field, Schema};
use datafusion::{
    datasource::MemTable,
    execution::SessionStateBuilder,
    prelude::{ParquetReadOptions, SessionConfig, SessionContext, col},
};
use imbed_core::{
    ErrorKind, Registry, Session,
    arrow::{Provenance, embedding_type},
    image::{EncodeFormat, Image, Mode, Samples, encode},
    session::Request,
};
use imbed_datafusion::{ImageContext, expr, failed_rows, unload_idle_models};
use imbed_engine::{Engine, Images};
use support::{Counting, error, examples, explain, folder, png, quoted, rows, texts, tiny, vector, vectors};

/// A table `t` of `n` images in `partitions` partitions of batches of 7 rows, with the rows in `nulls` null and in `bad` no images.
fn table(context: &SessionContext, n: usize, partitions: usize, nulls: &[usize], bad: &[usize]) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("image", DataType::Binary, true),
    ]));
    let file = |i: usize| match i {
        i if nulls.contains(&i) => None,
        i if bad.contains(&i) => Some(b"not an image".to_vec()),
        i => Some(png(i)),
    };
    let all: Vec<usize> = (0..n).collect();
    let parts = all.chunks(n.div_ceil(partitions)).map(|part| {
        part.chunks(7)
            .map(|rows| {
                let ids: ArrayRef = Arc::new(rows.iter().map(|i| Some(*i as i64)).collect::<Int64Array>());
                let images: ArrayRef = Arc::new(rows.iter().map(|i| file(*i)).collect::<BinaryArray>());
                RecordBatch::try_new(Arc::clone(&schema), vec![ids, images]).unwrap()
            })
            .collect()
    });
    let table = MemTable::try_new(Arc::clone(&schema), parts.collect()).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
}

/// The same session without the rule of this crate: DataFusion's own node calls the function.
fn without_rule(context: &SessionContext) -> SessionContext {
    let state = context.state();
    let rules = state.physical_optimizers().iter().filter(|rule| rule.name() != "imbed_embed").cloned().collect();
    SessionContext::new_with_state(
        SessionStateBuilder::new_from_existing(state).with_physical_optimizer_rules(rules).build(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_rust_give_the_vectors_of_the_engine() {
    let context = tiny();
    let query = format!("SELECT path, embed_image(image) AS embedding FROM images({})", examples());
    let batch = rows(&context, &query).await;

    let resolved = Session::new(Registry::linked()).resolve(&Request::default()).unwrap();
    let engine = Engine::builder(resolved.descriptor).build().unwrap();
    let paths: ArrayRef = Arc::new(StringArray::from(texts(batch.column(0))));
    let wanted = engine.embed_array(Images::Paths(paths)).unwrap().embeddings;
    assert_eq!(batch.num_rows(), 24);
    assert_eq!(vectors(batch.column(1)), vectors(&wanted));
    assert_eq!(batch.column(1).data_type(), &embedding_type(engine.plan().dimensions));
    let made = Provenance::from_metadata(batch.schema().field(1).metadata()).unwrap();
    assert_eq!((made.model.as_str(), made.provider.as_str()), ("imbed/tiny", "candle"));
    assert!(made.weights.is_none(), "planning does not read weights");

    let place = examples();
    let table = context
        .read_images(place.trim_matches('\''))
        .await
        .unwrap()
        .with_column("embedding", expr::embed_image(col("image")).model("imbed/tiny").build())
        .unwrap()
        .select_columns(&["path", "embedding"])
        .unwrap();
    let batches = table.collect().await.unwrap();
    let again = arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(vectors(again.column(1)), vectors(&wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_of_the_data_frame_is_fused_and_gives_what_the_steps_give() {
    let context = tiny();
    let chain = "embed_image(resize_image(convert_image(decode_image(image), 'RGB'), 288, 288))";
    let query = format!("SELECT path, {chain} AS e FROM images({}) ORDER BY path", examples());
    let plan = explain(&context, &query).await;
    assert!(plan.contains("fused with [decode, 8 bits, convert to RGB, resize to 288 x 288 bicubic]"), "{plan}");
    let fused = rows(&context, &query).await;
    let plain = without_rule(&context);
    let plan = explain(&plain, &query).await;
    assert!(plan.contains("AsyncFuncExec") && !plan.contains("EmbedExec"), "{plan}");
    let unfused = rows(&plain, &query).await;
    assert_eq!(vectors(fused.column(1)), vectors(unfused.column(1)));
    assert_eq!(texts(fused.column(0)), texts(unfused.column(0)));

    let place = examples();
    let table = context.read_images(place.trim_matches('\'')).await.unwrap();
    let steps = expr::resize_image(expr::convert_image(expr::decode_image(col("image")), "RGB"), 288, 288);
    let table = table.with_column("e", expr::embed_image(steps).build()).unwrap();
    let table = table.sort(vec![col("path").sort(true, false)]).unwrap().select_columns(&["e"]).unwrap();
    let batches = table.collect().await.unwrap();
    let rust = arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(vectors(rust.column(0)), vectors(fused.column(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_jpegs_are_decoded_smaller_where_that_is_asked_for() {
    let (context, folder) = (tiny(), tempfile::tempdir().unwrap());
    let samples =
        (0..800 * 600 * 3_u32).map(|i| (i / 700 + i % 3 * 40) as u8 ^ (i.wrapping_mul(i) >> 27) as u8).collect();
    let image = Image::new(Mode::Rgb, 800, 600, Samples::U8(samples)).unwrap();
    std::fs::write(folder.path().join("large.jpg"), encode(&image, EncodeFormat::Jpeg { quality: 90 }).unwrap())
        .unwrap();
    std::fs::write(folder.path().join("other.png"), png(3)).unwrap();
    let embedded = async |call: &str| {
        let query = format!("SELECT embed_image({call}) AS e FROM images({}) ORDER BY path", quoted(folder.path()));
        let batch = rows(&context, &query).await;
        let made = Provenance::from_metadata(batch.schema().field(0).metadata()).unwrap();
        (vectors(batch.column(0)), made.options)
    };
    let (exact, made) = embedded("image").await;
    assert!(!made.contains_key("decode"), "{made:?}");
    let (fast, made) = embedded("image, decode => 'fast'").await;
    assert_eq!(made["decode"], "fast");
    assert_ne!(fast[0], exact[0]);
    assert_eq!(fast[1], exact[1]);
    assert_eq!(embedded("convert_image(decode_image(image), 'RGB'), decode => 'fast'").await.0, fast);
    let cropped = |last: &str| format!("crop_image(decode_image(image), 0, 0, 3, 3){last}");
    assert_eq!(embedded(&cropped(", decode => 'fast'")).await.0, embedded(&cropped("")).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shorter_chain_is_fused_with_the_same_vectors() {
    let context = tiny();
    let plain = without_rule(&context);
    for (chain, fused) in [
        ("embed_image(image)", None),
        ("embed_image(decode_image(image))", Some("[decode, 8 bits]")),
        ("embed_image(decode_image(image, mode => 'L'))", Some("[decode, convert to L]")),
        (
            "embed_image(resize_image(decode_image(image, mode => 'RGBA'), 40, 30, filter => 'lanczos'))",
            Some("[decode, convert to RGBA, resize to 40 x 30 lanczos]"),
        ),
        (
            "embed_image(crop_image(decode_image(image), 1, 2, 30, 20))",
            Some("[decode, 8 bits, crop 30 x 20 at (1, 2)]"),
        ),
    ] {
        let query = format!("SELECT {chain} AS e FROM images({}) ORDER BY path", examples());
        let plan = explain(&context, &query).await;
        match fused {
            Some(steps) => assert!(plan.contains(&format!("fused with {steps}")), "{plan}"),
            None => assert!(!plan.contains("fused with"), "{plan}"),
        }
        let (a, b) = (rows(&context, &query).await, rows(&plain, &query).await);
        assert_eq!(vectors(a.column(0)), vectors(b.column(0)), "{chain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_loaded_once_however_many_partitions_and_queries_use_it() {
    let (context, counts) = Counting::session("loads-once");
    table(&context, 100, 8, &[], &[]);
    // Both queries have the same images, of which the later would be copies.
    let query = "SELECT id, embed_image(image, dedupe => false) AS e FROM t";
    let (a, b) = tokio::join!(rows(&context, query), rows(&context, query));
    for batch in [a, b, rows(&context, query).await] {
        let ids = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(ids.len(), 100);
        let wanted: Vec<_> = ids.iter().map(|i| Some(vector(*i as usize))).collect();
        assert_eq!(vectors(batch.column(1)), wanted);
    }
    assert_eq!(counts.loads.load(SeqCst), 1);
    assert_eq!(counts.images.load(SeqCst), 300);
    // Partitions share calls of the model: far fewer than the batches of 7 rows that they read.
    assert!(counts.batches.lock().unwrap().iter().any(|rows| *rows > 7), "{:?}", counts.batches);

    assert!(unload_idle_models() >= 1);
    rows(&context, query).await;
    assert_eq!(counts.loads.load(SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_loads_nothing_and_reads_no_weights() {
    let (context, counts) = Counting::session("plans-only");
    table(&context, 3, 1, &[], &[]);
    let table = context.image_sql("SELECT embed_image(image, 'other', normalize => true) AS e FROM t").await.unwrap();
    let field = table.schema().field(0);
    assert_eq!(field.data_type(), &embedding_type(4));
    let made = Provenance::from_metadata(field.metadata()).unwrap();
    assert_eq!((made.model.as_str(), made.normalized), ("other", true));
    table.create_physical_plan().await.unwrap();
    assert_eq!(counts.loads.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_the_same_run_once() {
    let (context, counts) = Counting::session("same-calls");
    table(&context, 20, 1, &[], &[]);
    let batch = rows(
        &context,
        "SELECT embed_image(image) AS a, embed_image(image) AS b, embed_image(image, 'longer') AS c FROM t",
    )
    .await;
    assert_eq!(vectors(batch.column(0)), vectors(batch.column(1)));
    assert_ne!(vectors(batch.column(0)), vectors(batch.column(2)));
    assert_eq!(counts.images.load(SeqCst), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_a_vector_does_not_embed_again() {
    let (context, counts) = Counting::session("conditions");
    table(&context, 20, 1, &[], &[]);
    let query = "SELECT id, v FROM (SELECT id, embed_image(image) AS v FROM t) WHERE dot_product(v, [0, 0, 0, 1]) > 1 AND id > 3";
    assert_eq!(rows(&context, query).await.num_rows(), 16);
    assert_eq!(counts.images.load(SeqCst), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_stay_null_and_failing_rows_do_as_they_are_told() {
    let (context, _) = Counting::session("failing-rows");
    table(&context, 30, 2, &[4, 29], &[11]);
    let raised = error(&context, "SELECT embed_image(image) FROM t").await;
    assert_eq!(raised.kind(), ErrorKind::Decode);
    assert!(raised.message().contains("row 11 of partition 0"), "{raised}");
    assert!(raised.hint_text().unwrap().contains("on_error => 'ignore'"), "{raised}");
    for policy in ["ignore", "log"] {
        let batch =
            rows(&context, &format!("SELECT id, embed_image(image, on_error => '{policy}') FROM t ORDER BY id")).await;
        let missing: Vec<usize> =
            vectors(batch.column(1)).iter().enumerate().filter(|(_, v)| v.is_none()).map(|(i, _)| i).collect();
        assert_eq!(missing, [4, 11, 29]);
    }
    // The first query's error is not the next one's.
    table_again(&context, "SELECT count(embed_image(image, on_error => 'ignore')) FROM t", 27).await;
    // A decoder's own wish counts before the model's.
    table_again(&context, "SELECT count(embed_image(decode_image(image, on_error => 'ignore'))) FROM t", 27).await;
    let raised = error(&context, "SELECT embed_image(decode_image(image), on_error => 'ignore') FROM t").await;
    assert_eq!(raised.kind(), ErrorKind::Decode);
}

async fn table_again(context: &SessionContext, query: &str, wanted: i64) {
    let batch = rows(context, query).await;
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), wanted, "{query}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_is_named() {
    let (context, _) = Counting::session("named-files");
    let folder = folder(5);
    std::fs::write(folder.path().join("002.png"), b"nothing").unwrap();
    let raised =
        error(&context, &format!("SELECT path, embed_image(image) FROM images({})", quoted(folder.path()))).await;
    assert!(raised.message().contains("002.png"), "{raised}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_stops_early() {
    let (context, counts) = Counting::session("limited");
    let folder = folder(400);
    let query = format!("SELECT path, embed_image(image) FROM images({}) LIMIT 3", quoted(folder.path()));
    let batch = rows(&context, &query).await;
    assert_eq!(batch.num_rows(), 3);
    assert!(counts.images.load(SeqCst) < 100, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_in_the_order_of_the_files() {
    let (context, _) = Counting::session("in-order");
    let folder = folder(150);
    let batch =
        rows(&context, &format!("SELECT path, embed_image(image) FROM images({})", quoted(folder.path()))).await;
    assert_eq!(vectors(batch.column(1)), (0..150).map(|i| Some(vector(i))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_come_as_paths_too() {
    let (context, _) = Counting::session("paths");
    let folder = folder(9);
    let query = format!(
        "SELECT embed_image(path) FROM images({}) WHERE path LIKE '%3.png' OR path LIKE '%7.png'",
        quoted(folder.path())
    );
    let batch = rows(&context, &query).await;
    assert_eq!(vectors(batch.column(0)), [Some(vector(3)), Some(vector(7))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_can_be_filtered_joined_and_aggregated() {
    let (context, _) = Counting::session("composed");
    table(&context, 12, 3, &[], &[]);
    let near = rows(
        &context,
        "WITH e AS (SELECT id, embed_image(image) AS v FROM t) \
         SELECT a.id FROM e a JOIN e b ON b.id = 5 WHERE euclidean_distance(a.v, b.v) < 0.5",
    )
    .await;
    assert_eq!(near.column(0).as_primitive::<Int64Type>().values(), &[5]);
    let first =
        rows(&context, "SELECT id FROM t WHERE dot_product(embed_image(image), [0, 0, 0, 1]) = 5 ORDER BY id LIMIT 1")
            .await;
    assert_eq!(first.column(0).as_primitive::<Int64Type>().values(), &[0]);
    table_again(&context, "SELECT count(embed_image(image)) FROM t", 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_found_when_a_query_is_planned() {
    let (context, counts) = Counting::session("mistakes");
    table(&context, 3, 1, &[], &[]);
    for (call, message) in [
        ("embed_image(image, 'missing')", "there is no model 'missing'"),
        ("embed_image(image, provider => 'nowhere')", "there is no provider 'nowhere'"),
        ("embed_image(image, batch_size => 0)", "batch_size"),
        ("embed_image(image, options => '{\"colour\": 1}')", "there is no option 'colour'"),
        ("embed_image(image, colour => 'red')", "colour"),
        ("embed_image(id)", "'id' of type Int64 holds no images"),
        ("embed_image(image, CAST(id AS TEXT))", "must be a constant"),
        ("embed_image()", "embed_image"),
    ] {
        let planned = context.image_sql(&format!("SELECT {call} FROM t")).await;
        let found = imbed_datafusion::cause(&planned.expect_err(call));
        assert!(found.message().contains(message), "{call}: {found}");
    }
    assert_eq!(counts.loads.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_loaded_fails_every_query_that_wants_it_and_no_other() {
    let (context, counts) = Counting::session("broken-models");
    table(&context, 50, 4, &[], &[]);
    for _ in 0..2 {
        let failed = error(&context, "SELECT embed_image(image, 'broken') FROM t").await;
        assert_eq!(failed.kind(), ErrorKind::Model);
        assert!(failed.message().contains("damaged") && failed.hint_text().is_some(), "{failed}");
    }
    assert!(counts.loads.load(SeqCst) >= 2);
    assert_eq!(rows(&context, "SELECT embed_image(image) FROM t").await.num_rows(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_survive_a_parquet_file() {
    let (context, _) = Counting::session("metadata");
    table(&context, 5, 1, &[], &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.parquet");
    rows(&context, &format!("COPY (SELECT id, embed_image(image) AS embedding FROM t) TO {}", quoted(&file))).await;
    context.register_parquet("out", file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let batch = rows(&context, "SELECT embedding FROM out WHERE id = 3").await;
    assert_eq!(vectors(batch.column(0)), [Some(vector(3))]);
    assert_eq!(batch.column(0).data_type(), &embedding_type(4));
    assert!(Provenance::from_metadata(batch.schema().field(0).metadata()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_rows_are_read_a_few_at_a_time() {
    let (context, _) = Counting::session("large-rows");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.parquet");
    let schema = Arc::new(Schema::new(vec![Field::new("image", DataType::Binary, true)]));
    // Bytes that no compression makes smaller.
    let noise = |i: u64| -> Vec<u8> {
        (0..1u64 << 20).map(|k| ((k ^ (i << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
    };
    let images: ArrayRef = Arc::new((0..40).map(|i| Some(noise(i))).collect::<BinaryArray>());
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![images]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    context.register_parquet("large", file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let query = "SELECT embed_image(image, on_error => 'ignore') FROM large";
    let plan = explain(&context, query).await;
    let reads = plan.split("reads ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(reads.parse::<usize>().unwrap() <= 16, "{plan}");
    let batches = context.image_sql(query).await.unwrap().collect().await.unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 16));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_embedded_has_few_partitions_and_gives_every_row() {
    let (context, _) = Counting::session("narrow-scans");
    table(&context, 60, 1, &[], &[]);
    let folder = tempfile::tempdir().unwrap();
    for part in 0..6 {
        let file = folder.path().join(format!("{part}.parquet"));
        let rows_of = format!("SELECT id, image FROM t WHERE id % 6 = {part}");
        rows(&context, &format!("COPY ({rows_of}) TO {}", quoted(&file))).await;
    }
    let config = SessionConfig::new().with_target_partitions(6);
    let state = SessionStateBuilder::new_from_existing(context.state()).with_config(config).build();
    let context = SessionContext::new_with_state(state);
    context.register_parquet("parts", folder.path().to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let plan = explain(&context, "SELECT id FROM parts").await;
    assert!(plan.contains("6 groups"), "{plan}");
    let query = "SELECT id, embed_image(image) FROM parts WHERE id <> 7 ORDER BY id";
    let plan = explain(&context, query).await;
    assert!(plan.contains("2 groups"), "{plan}");
    let batch = rows(&context, query).await;
    let ids: Vec<i64> = (0..60).filter(|id| *id != 7).collect();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &ids[..]);
    assert_eq!(vectors(batch.column(1)), ids.iter().map(|id| Some(vector(*id as usize))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_not_sorted_and_only_the_first_rows_are_embedded() {
    let (context, counts) = Counting::session("sorted");
    table(&context, 40, 3, &[], &[]);
    let sorted = "SELECT id, embed_image(image) AS e FROM t ORDER BY id DESC";
    let plan = explain(&context, sorted).await;
    let (sort, embed) = (plan.find("SortExec").unwrap(), plan.find("EmbedExec").unwrap());
    assert!(sort < embed, "{plan}");
    let batch = rows(&context, sorted).await;
    assert_eq!(vectors(batch.column(1)), (0..40).rev().map(|i| Some(vector(i))).collect::<Vec<_>>());
    assert_eq!(counts.images.swap(0, SeqCst), 40);

    let batch = rows(&context, &format!("{sorted} LIMIT 5")).await;
    assert_eq!(vectors(batch.column(1)), (35..40).rev().map(|i| Some(vector(i))).collect::<Vec<_>>());
    assert_eq!(counts.images.swap(0, SeqCst), 5);

    // Where vectors decide, all are wanted.
    let query = "SELECT id, embed_image(image) AS e FROM t ORDER BY dot_product(e, [0, 0, 0, 1]), id LIMIT 2";
    let batch = rows(&context, query).await;
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[0, 1]);
    assert_eq!(counts.images.load(SeqCst), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_failed_are_counted_where_the_plan_tells() {
    let (context, _) = Counting::session("failed-rows");
    table(&context, 30, 3, &[4], &[11, 12, 29]);
    let query = "SELECT embed_image(image, on_error => 'ignore') FROM t";
    let plan = context.image_sql(query).await.unwrap().create_physical_plan().await.unwrap();
    assert_eq!(failed_rows(plan.as_ref()), 0);
    datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    assert_eq!(failed_rows(plan.as_ref()), 3);
    let analyzed = rows(&context, &format!("EXPLAIN ANALYZE {query}")).await;
    assert!(texts(analyzed.column(1))[0].as_deref().unwrap().contains("failed_rows=3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_images_are_embedded_once_and_counted() {
    let (context, counts) = Counting::session("copied-rows");
    table(&context, 10, 1, &[4], &[]);
    let twice = "FROM (SELECT id, image FROM t UNION ALL SELECT id, image FROM t)";
    // With the limit the images come sorted, in one stream, and so into one run of the pipeline.
    let query = |options: &str| format!("SELECT id, embed_image(image{options}) AS e {twice} ORDER BY id LIMIT 20");
    let once = rows(&context, &query("")).await;
    assert_eq!(counts.images.swap(0, SeqCst), 9);
    let each = rows(&context, &query(", dedupe => false")).await;
    assert_eq!(counts.images.swap(0, SeqCst), 18);
    assert_eq!(vectors(once.column(1)), vectors(each.column(1)));
    let analyzed = rows(&context, &format!("EXPLAIN ANALYZE {}", query(""))).await;
    assert!(texts(analyzed.column(1))[0].as_deref().unwrap().contains("copied_rows=9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_partition_and_many_give_the_same() {
    let (context, _) = Counting::session("partitions");
    table(&context, 60, 5, &[3], &[]);
    let wanted = rows(&context, "SELECT id, embed_image(image) FROM t ORDER BY id").await;
    let one = SessionConfig::new().with_target_partitions(1);
    let state = SessionStateBuilder::new_from_existing(context.state()).with_config(one).build();
    let single = SessionContext::new_with_state(state);
    table(&single, 60, 1, &[3], &[]);
    let found = rows(&single, "SELECT id, embed_image(image) FROM t ORDER BY id").await;
    assert_eq!(vectors(wanted.column(1)), vectors(found.column(1)));
}
