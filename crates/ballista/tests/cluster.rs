//! A scheduler and executors as real processes: what a cluster gives, and what it gives when one of them dies.

mod support;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type, types::Int64Type, types::UInt64Type};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use imbed_ballista::{Cluster, Parts, connect, save_parts};
use imbed_core::{ErrorKind, Registry, Session};
use imbed_datafusion::{ImageContext, Imbed, cause};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use support::{delayed, png, processes, processes::Process, table};

/// How this program becomes another process: by running the test below alone.
const ANOTHER: [&str; 3] = ["--exact", "a_process_of_the_cluster", "--nocapture"];

#[test]
fn a_process_of_the_cluster() {
    // In a test run of its own there is nothing to play.
    processes::play();
}

fn imbed() -> Imbed {
    Imbed::new(Session::new(Registry::linked()))
}

async fn client(scheduler: &Process, partitions: usize) -> SessionContext {
    let partitions = NonZeroUsize::new(partitions).unwrap();
    connect(&imbed(), &Cluster { scheduler: format!("df://{}", scheduler.address), partitions }).await.unwrap()
}

/// The vectors of a table by their ids, which must differ.
fn by_id(batches: &[RecordBatch]) -> BTreeMap<i64, Vec<f32>> {
    let mut found = BTreeMap::new();
    for batch in batches {
        let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        let vectors = batch.column_by_name("e").unwrap().as_fixed_size_list();
        for row in 0..batch.num_rows() {
            let vector = vectors.value(row).as_primitive::<Float32Type>().values().to_vec();
            assert!(found.insert(ids.value(row), vector).is_none(), "row {} is there twice", ids.value(row));
        }
    }
    found
}

fn expected(rows: i64) -> BTreeMap<i64, Vec<f32>> {
    (0..rows).map(|id| (id, delayed::vector(&png(id)).to_vec())).collect()
}

/// Names and rows of the Parquet files in `folder`, and nothing else may be there.
fn parts(folder: &Path) -> (Vec<String>, Vec<RecordBatch>) {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut batches = Vec::new();
    for name in &names {
        assert!(name.starts_with("part-") && name.ends_with(".parquet"), "{name} was left behind");
        let file = std::fs::File::open(folder.join(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    (names, batches)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_select_loses_and_doubles_no_row_when_an_executor_is_killed() {
    const ROWS: i64 = 512;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.parquet");
    table(&file, ROWS, 16);
    let scheduler = Process::scheduler(&ANOTHER);
    let mut first = Process::executor(&ANOTHER, &scheduler, 1);
    let _second = Process::executor(&ANOTHER, &scheduler, 1);
    let context = client(&scheduler, 32).await;
    context.register_parquet("t", file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let start = Instant::now();
    let query = "SELECT id, embed_image(image, provider => 'delayed', model => 'delayed/100') AS e FROM t";
    let running = tokio::spawn(async move { context.image_sql(query).await.unwrap().collect().await });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!running.is_finished(), "it was over before anything could happen to it");
    first.kill();
    let batches = running.await.unwrap().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(by_id(&batches), expected(ROWS));
    assert!(start.elapsed() < Duration::from_secs(40), "it took {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_written_once_when_an_executor_is_killed() {
    const ROWS: i64 = 512;
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("t.parquet"), folder.path().join("out"));
    table(&file, ROWS, 16);
    let scheduler = Process::scheduler(&ANOTHER);
    let mut first = Process::executor(&ANOTHER, &scheduler, 1);
    let _second = Process::executor(&ANOTHER, &scheduler, 1);
    let context = client(&scheduler, 32).await;
    context.register_parquet("t", file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let query = "SELECT id, embed_image(image, provider => 'delayed', model => 'delayed/100') AS e FROM t";
    let parts_of = Parts::new(out.to_str().unwrap()).unwrap();
    let saved = save_parts(context.image_sql(query).await.unwrap(), parts_of.clone());
    let running = tokio::spawn(saved.collect());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!running.is_finished(), "it was over before anything could happen to it");
    first.kill();
    let told = running.await.unwrap().unwrap_or_else(|e| panic!("{e}"));
    parts_of.tidy().unwrap();
    let (names, batches) = parts(&out);
    assert_eq!(by_id(&batches), expected(ROWS));
    let counted: u64 = told.iter().map(|b| b.column(0).as_primitive::<UInt64Type>().values().iter().sum::<u64>()).sum();
    assert_eq!(counted, ROWS as u64);
    let rows: usize = told.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, names.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_spread_over_all_executors_and_slots() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.parquet");
    table(&file, 768, 16);
    let scheduler = Process::scheduler(&ANOTHER);
    let query = "SELECT id, embed_image(image, provider => 'delayed', model => 'delayed/40') AS e FROM t";
    let mut seconds = Vec::new();
    let mut executors = Vec::new();
    for _ in 0..2 {
        executors.push(Process::executor(&ANOTHER, &scheduler, 1));
        let context = client(&scheduler, 48).await;
        context.register_parquet("t", file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        let start = Instant::now();
        let batches = context.image_sql(query).await.unwrap().collect().await.unwrap();
        seconds.push(start.elapsed().as_secs_f64());
        assert_eq!(by_id(&batches).len(), 768);
    }
    // What two are worth is measured elsewhere; on a machine that does other things too, this is far from both 1 and 2.
    assert!(seconds[0] / seconds[1] > 1.4, "one executor took {} s and two {} s", seconds[0], seconds[1]);
}

#[tokio::test]
async fn a_scheduler_that_is_not_there_is_an_error_in_seconds() {
    let start = Instant::now();
    let cluster = Cluster { scheduler: "df://127.0.0.1:1".to_owned(), partitions: Cluster::PARTITIONS };
    let Err(error) = connect(&imbed(), &cluster).await else { panic!("somebody is there") };
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("127.0.0.1:1"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_fails_says_so_to_the_client() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), b"no image").unwrap();
    let scheduler = Process::scheduler(&ANOTHER);
    let _executor = Process::executor(&ANOTHER, &scheduler, 2);
    let context = client(&scheduler, 4).await;
    let query = |on_error: &str| {
        format!(
            "SELECT path, image_width(decode_image(image, on_error => '{on_error}')) AS w FROM images('{}')",
            folder.path().display()
        )
    };
    let failed = context.image_sql(&query("raise")).await.unwrap().collect().await.unwrap_err();
    let error = cause(&failed);
    assert_eq!((error.kind(), error.message()), (ErrorKind::Decode, "decode_image: row 0: this is text, not an image"));
    let ignored = context.image_sql(&query("ignore")).await.unwrap().collect().await.unwrap();
    assert!(ignored[0].column(1).is_null(0));
}
