//! A scheduler and executors as real processes: what a cluster gives, and what it gives when one of them dies.

mod support;

#[path = "../../datafusion/tests/support/s3.rs"]
mod s3;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type, types::Int64Type, types::UInt64Type};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use imbed_ballista::{Cluster, Parts, connect, save_parts};
use imbed_core::{ErrorKind, Registry, Session};
use imbed_datafusion::{ImageContext, Imbed, cause};
use imbed_provider_openai as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use support::{
    client, delayed,
    disguises::{Disguises, holds},
    png, processes,
    processes::Process,
    recorder::Recorder,
    service::Service,
    table,
};

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
    let times = || -> BTreeMap<_, _> {
        let entries = std::fs::read_dir(&out).unwrap().map(Result::unwrap);
        let whole = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "parquet"));
        whole.map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap())).collect()
    };
    let done = times();
    assert!(!done.is_empty(), "there was no part yet");
    let told = running.await.unwrap().unwrap_or_else(|e| panic!("{e}"));
    parts_of.tidy().unwrap();
    let (names, batches) = parts(&out);
    assert_eq!(by_id(&batches), expected(ROWS));
    let now = times();
    for (name, time) in &done {
        assert_eq!(now.get(name), Some(time), "{name:?} was there, and was made again");
    }
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

/// Part of every secret in the environment of a process of the test below. All of its characters have short codes in HTTP/2.
const CANARY: &str = "secret/bird-59c0de";

/// All that a table says, its metadata too, without compression and encodings.
fn decoded(bytes: Vec<u8>) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let about = format!("{:?} {:?}", reader.metadata(), reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    format!("{about} {batches:?}")
}

/// The environment of a process: where the bucket is, and secrets of which each says whose it is.
fn secrets(of: &str, bucket: &s3::Server) -> Vec<(&'static str, String)> {
    vec![
        ("VLLM_API_KEY", format!("{CANARY}-key-of-{of}")),
        ("OPENAI_API_KEY", format!("{CANARY}-other-key-of-{of}")),
        ("AWS_ENDPOINT_URL", bucket.url().to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", s3::KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", format!("{CANARY}-of-{of}")),
        ("AWS_SESSION_TOKEN", format!("{CANARY}-token-of-{of}")),
        ("HF_TOKEN", format!("{CANARY}-hub-of-{of}")),
        ("RUST_BACKTRACE", "1".to_owned()),
    ]
}

/// Variables as a process is given them.
fn borrowed<'a>(set: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    set.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// A scheduler and two executors, and the wires between which they and their clients speak: the scheduler's, then those of each
/// executor.
fn overheard(bucket: &s3::Server) -> (Vec<Process>, Vec<Recorder>) {
    let scheduler = Process::talking_scheduler(&ANOTHER, &borrowed(&secrets("the-scheduler", bucket)));
    let mut wires = vec![Recorder::new()];
    wires[0].connect(scheduler.address.parse().unwrap());
    let at = wires[0].address;
    let mut processes = vec![scheduler];
    for _ in 0..2 {
        let (mut results, mut control) = (Recorder::new(), Recorder::new());
        let behind = |wire: &Recorder| SocketAddr::from(([127, 0, 0, 2], wire.address.port()));
        let (bind, port) = (behind(&results), control.address.port());
        results.connect(bind);
        control.connect(behind(&control));
        let secrets = secrets("an-executor", bucket);
        processes.push(Process::talking_executor(&ANOTHER, at, (bind, port), &borrowed(&secrets)));
        wires.extend([results, control]);
    }
    (processes, wires)
}

#[test]
fn no_key_goes_over_a_wire_or_is_told() {
    // Executors listen at another address of the loopback network than the one by which they are reached.
    if std::net::TcpListener::bind("127.0.0.2:0").is_err() {
        eprintln!("skipped: this machine has one loopback address, as all but Linux do");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (bucket, service) = (s3::Server::start(), Service::start(CANARY));
    table(&folder.path().join("t.parquet"), 24, 6);
    let bytes = std::fs::read(folder.path().join("t.parquet")).unwrap();
    // Each of them is a task.
    for i in 0..4 {
        bucket.put("photos", &format!("t-{i}.parquet"), bytes.clone());
    }
    bucket.put("photos", "denied.parquet", bytes);
    bucket.deny("photos", "denied.parquet");
    bucket.bucket("out");
    let (processes, wires) = overheard(&bucket);

    let vectors = "SELECT id, embed_image(image, model => 'm') AS e FROM 's3://photos/t-*.parquet'";
    let here = folder.path().join("here").display().to_string();
    let statements = [
        vectors.to_owned(),
        format!("EXPLAIN {vectors}"),
        format!("EXPLAIN VERBOSE {vectors}"),
        format!("COPY ({vectors}) TO 's3://out/e/' STORED AS PARQUET"),
        format!("COPY ({vectors}) TO '{here}/' STORED AS PARQUET"),
        // The service and the bucket repeat in their answers what they were shown.
        vectors.replace("'m'", "'refused'"),
        vectors.replace("t-*.parquet", "denied.parquet"),
        "SELECT path, embed_image(image, model => 'm') FROM images('s3://photos/denied.parquet', 'raise')".to_owned(),
    ];
    let mut of_client = secrets("the-client", &bucket);
    of_client.push((client::SERVICE, service.url.clone()));
    of_client.push((client::STATEMENTS, statements.join(";\n")));
    let client = Process::talking_client(&ANOTHER, wires[0].address, &borrowed(&of_client));
    let said = [client.stdout, client.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    // All of it was in use: requests with a key were served, and those that had to go well did.
    assert!(client.status.success(), "{text}");
    let told = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((told("went well: "), told("failed: ")), (5, 3), "{text}");
    assert!(service.served() >= 24, "{} requests came with a key", service.served());
    assert!(text.contains("may not use this model") && text.contains("access is denied"), "{text}");
    assert!(text.contains("EmbedExec"), "{text}");

    let mut everything = vec![("the client".to_owned(), said.clone())];
    for (number, process) in processes.iter().enumerate() {
        let said = process.said();
        assert!(!said.is_empty(), "process {number} has told nothing");
        everything.push((format!("process {number}"), said));
    }
    let mut plans = 0;
    for (number, wire) in wires.iter().enumerate() {
        let tapes = wire.tapes();
        assert!(number == 0 || !tapes.is_empty(), "nobody came to wire {number}");
        plans += tapes.iter().filter(|tape| holds(tape, b"t-3.parquet")).count();
        everything.extend(tapes.into_iter().map(|tape| (format!("wire {number}"), tape)));
    }
    assert!(plans >= 2, "{plans} wires have seen a plan");
    let mut files = 0;
    let written = std::fs::read_dir(&here).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let sent = bucket.keys("out").into_iter().map(|key| bucket.get("out", &key).unwrap());
    for file in written.chain(sent) {
        files += 1;
        everything.push(("a file".to_owned(), file.clone()));
        everything.push(("what is in a file".to_owned(), decoded(file).into_bytes()));
    }
    assert!(files >= 2, "{files} files were written");
    for secret in [CANARY, s3::KEY] {
        let disguises = Disguises::of(secret);
        for (place, bytes) in &everything {
            let found = disguises.found_in(bytes);
            assert!(found.is_none(), "{place} holds '{secret}' {}", found.unwrap());
        }
    }
}
