//! `imbed cluster`, and `--cluster`: the same results on many processes as on one.

#![cfg(feature = "cluster")]

#[path = "../../datafusion/tests/support/s3.rs"]
mod s3;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The folder of the project's example images, by its absolute name.
fn examples() -> String {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/images")).unwrap().display().to_string()
}

/// The program, unmoved by the environment of whoever runs the tests.
fn imbed(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbed"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IMBED_") || name.starts_with("HF_")) {
        command.env_remove(name);
    }
    command.env("HF_HUB_OFFLINE", "1").current_dir(folder).args(args);
    command
}

fn run(folder: &Path, args: &[&str], code: i32) -> Output {
    let output = imbed(folder, args).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A process of the cluster, ended with its owner.
struct Process(Child);

impl Process {
    /// Starts it and waits for its first line.
    fn start(folder: &Path, args: &[&str]) -> (Self, String) {
        Self::start_with(folder, args, &[])
    }

    /// The same with more in its environment. What it says on stderr goes into the file `said.txt`, behind what others have said.
    fn start_with(folder: &Path, args: &[&str], set: &[(String, String)]) -> (Self, String) {
        let said = fs::File::options().create(true).append(true).open(folder.join("said.txt")).unwrap();
        let mut command = imbed(folder, args);
        let mut child = command.envs(set.iter().cloned()).stdout(Stdio::piped()).stderr(said).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (Self(child), line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What makes processes talkative.
const TALKS: [&str; 3] = ["--verbose", "--log-level", "trace"];

/// A scheduler and two executors on distinct folders.
struct Cluster {
    folder: tempfile::TempDir,
    address: String,
    /// Where the counters of the executors are.
    metrics: Vec<String>,
    scheduler: Option<Process>,
    _executors: Vec<Process>,
}

impl Cluster {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more in the environment of its processes.
    fn start_with(set: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The scheduler and the executors know nothing of the client's folder.
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let (scheduler, address) = Self::scheduler(&elsewhere, "127.0.0.1:0", set);
        let (mut executors, mut metrics) = (Vec::new(), Vec::new());
        for name in ["one", "two"] {
            let dir = folder.path().join(name);
            let (dir, slots) = (dir.to_str().unwrap(), if name == "one" { "1" } else { "2" });
            let counters = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            let args =
                ["cluster", "executor", "--scheduler", &address, "--gpus", "0", "--work-dir", dir, "--task-slots"];
            let args = [&args[..], &[slots, "--metrics-addr", &counters], &TALKS].concat();
            let (executor, line) = Process::start_with(&elsewhere, &args, set);
            metrics.push(counters);
            assert!(line.starts_with("imbed cluster executor: ready on 127.0.0.1:"), "{line}");
            executors.push(executor);
        }
        let address = format!("df://{address}");
        Self { folder, address, metrics, scheduler: Some(scheduler), _executors: executors }
    }

    /// A scheduler, and where it listens.
    fn scheduler(folder: &Path, bind: &str, set: &[(String, String)]) -> (Process, String) {
        let args = ["cluster", "scheduler", "--bind", bind, "--executor-timeout", "6"];
        let (scheduler, line) = Process::start_with(folder, &[&args[..], &TALKS].concat(), set);
        (scheduler, line.strip_prefix("imbed cluster scheduler: listening on ").unwrap().to_owned())
    }

    fn kill_scheduler(&mut self) {
        self.scheduler = None;
    }

    /// Another scheduler in the place of one that was killed.
    fn replace_scheduler(&mut self) {
        let bind = self.address.trim_start_matches("df://").to_owned();
        self.scheduler = Some(Self::scheduler(&self.path().join("elsewhere"), &bind, &[]).0);
    }

    /// What its processes have said on stderr.
    fn said(&self) -> String {
        fs::read_to_string(self.path().join("elsewhere/said.txt")).unwrap()
    }

    /// The sum of the executors' samples of this name.
    fn counted(&self, sample: &str) -> f64 {
        let counted = |address: &String| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
            value.unwrap_or(0.0_f64)
        };
        self.metrics.iter().map(counted).sum()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The lines of `output`, sorted.
fn lines(output: &Output) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The rows of all Parquet files in `folder`, by their path, and the schema's metadata of the vectors.
fn vectors(batches: &[RecordBatch]) -> BTreeMap<String, Vec<f32>> {
    let mut found = BTreeMap::new();
    for batch in batches {
        let paths = batch.column_by_name("path").unwrap().as_string::<i32>();
        let vectors = batch.column_by_name("embedding").unwrap().as_fixed_size_list();
        for row in (0..batch.num_rows()).filter(|row| vectors.is_valid(*row)) {
            let vector = vectors.value(row).as_primitive::<Float32Type>().values().to_vec();
            assert!(found.insert(paths.value(row).to_owned(), vector).is_none(), "{} twice", paths.value(row));
        }
    }
    found
}

fn read(file: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap()).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

fn read_folder(folder: &Path) -> Vec<RecordBatch> {
    parts(folder).iter().flat_map(|file| read(file)).collect()
}

/// The parts in `folder`, in order.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path());
    let mut parts: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect();
    parts.sort();
    parts
}

#[test]
fn queries_and_embeddings_are_those_of_one_process() {
    let cluster = Cluster::start();
    let examples = examples();
    fs::create_dir(cluster.path().join("shots")).unwrap();
    for name in ["city-1.jpg", "city-2.jpg"] {
        fs::copy(Path::new(&examples).join(name), cluster.path().join("shots").join(name)).unwrap();
    }
    for query in [
        format!("SELECT path, embed_image(image) AS e FROM images('{examples}')"),
        format!(
            "SELECT path, size, image_width(decode_image(image)) AS w, embed_image(resize_image(decode_image(image, mode \
             => 'RGB'), 64, 64), normalize => true) AS e FROM images('{examples}/*.jpg') WHERE size > 1000"
        ),
        // An aggregate of vectors.
        format!("SELECT count(embed_image(image)) AS n, count(*) AS all FROM images('{examples}')"),
        // A path in a column starts from the client's folder, as one of a folder does.
        "SELECT path, embed_image(path) AS e FROM images('shots')".to_owned(),
        format!("SELECT format, count(*) AS n, sum(size) AS bytes FROM images('{examples}') GROUP BY format"),
    ] {
        let here = run(cluster.path(), &["sql", "--json", &query], 0);
        let there = run(cluster.path(), &["sql", "--json", "--cluster", &cluster.address, &query], 0);
        assert_eq!(lines(&there), lines(&here), "{query}");
        assert!(!here.stdout.is_empty());
    }

    // A folder of images, then the table that came of it.
    run(cluster.path(), &["embed", &examples, "-o", "here.parquet", "--quiet"], 0);
    run(cluster.path(), &["embed", &examples, "--cluster", &cluster.address, "-o", "there/", "--quiet"], 0);
    let (here, there) = (read(&cluster.path().join("here.parquet")), read_folder(&cluster.path().join("there")));
    assert_eq!(vectors(&there), vectors(&here));
    assert_eq!(there[0].schema(), here[0].schema(), "the provenance differs");

    let copy = format!("COPY (SELECT path, image FROM images('{examples}')) TO 'images.parquet'");
    run(cluster.path(), &["sql", &copy, "--quiet"], 0);
    let args =
        ["embed", "images.parquet", "--cluster", &cluster.address, "-o", "table/", "--json", "--partitions", "3"];
    let told = run(cluster.path(), &args, 0);
    let table = read_folder(&cluster.path().join("table"));
    assert_eq!(vectors(&table), vectors(&here));
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(&format!("\"rows\":{}", vectors(&here).len())), "{told}");

    // What is there is not replaced by accident.
    let refused = run(cluster.path(), &args[..7], 2);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("parts already"));
    run(cluster.path(), &[&args[..], &["--overwrite"]].concat(), 0);

    let copy = format!(
        "COPY (SELECT path, embed_image(image) AS embedding FROM images('{examples}')) TO 'copied/' STORED AS PARQUET"
    );
    let copied = run(cluster.path(), &["sql", "--cluster", &cluster.address, &copy], 0);
    assert!(String::from_utf8_lossy(&copied.stderr).contains(" rows written"));
    assert_eq!(vectors(&read_folder(&cluster.path().join("copied"))), vectors(&here));
}

#[test]
fn buckets_are_read_and_written_with_the_keys_of_each_process() {
    let server = s3::Server::start();
    let variables = server.variables();
    let cluster = Cluster::start_with(&variables);
    let copy = format!("COPY (SELECT path, image FROM images('{}')) TO 'images.parquet'", examples());
    run(cluster.path(), &["sql", &copy, "--quiet"], 0);
    let table = cluster.path().join("images.parquet");
    server.put("photos", "shard-0.parquet", fs::read(&table).unwrap());
    server.bucket("out");
    let args = ["embed", "s3://photos/shard-*.parquet", "--column", "image", "--cluster", &cluster.address];
    let embed = [&args[..], &["-o", "s3://out/embeddings/", "--partitions", "2", "--json"]].concat();
    let output = imbed(cluster.path(), &embed).envs(variables.iter().cloned()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("s3://out/embeddings/part-00000.parquet"), "{told}");
    let mut batches = Vec::new();
    for part in ["embeddings/part-00000.parquet", "embeddings/part-00001.parquet"] {
        if let Some(bytes) = server.get("out", part) {
            let file = cluster.path().join("part.parquet");
            fs::write(&file, bytes).unwrap();
            batches.extend(read(&file));
        }
    }
    assert_eq!(server.unfinished(), 0);
    // Nothing is left to do, which is asked of the bucket.
    let written = server.get("out", "embeddings/part-00000.parquet");
    let again = [&embed[..], &["--resume"]].concat();
    let output = imbed(cluster.path(), &again).envs(variables.iter().cloned()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let again = String::from_utf8(output.stdout).unwrap();
    assert!(again.contains(&format!("\"resumed\":{rows},\"rows\":{rows}")), "{again}");
    assert_eq!(server.get("out", "embeddings/part-00000.parquet"), written);
    let manifest = server.get("out", "embeddings/_imbed.json").unwrap();
    assert!(String::from_utf8(manifest).unwrap().contains("\"complete\": true"));
    run(cluster.path(), &["embed", "images.parquet", "-o", "here.parquet", "--quiet"], 0);
    assert_eq!(vectors(&batches), vectors(&read(&cluster.path().join("here.parquet"))));

    // Neither the key nor its name is told by anybody, whatever goes wrong.
    server.put("photos", "denied.parquet", fs::read(&table).unwrap());
    server.deny("photos", "denied.parquet");
    let mut said = vec![told, cluster.said()];
    for query in [
        "EXPLAIN VERBOSE SELECT embed_image(image) FROM 's3://photos/shard-0.parquet'",
        "SELECT path FROM images('s3://photos/denied.parquet') WHERE image IS NOT NULL",
        "SELECT embed_image(image) FROM 's3://photos/denied.parquet'",
    ] {
        let logs = ["--log-level", "trace", "--cluster", &cluster.address];
        let mut command = imbed(cluster.path(), &[&["sql", query][..], &logs].concat());
        let output = command.envs(variables.iter().cloned()).output().unwrap();
        assert_eq!(output.status.code(), Some(if query.starts_with("EXPLAIN") { 0 } else { 3 }), "{query}");
        said.push(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    }
    said.push(cluster.said());
    assert!(said[1].contains("info:"), "the processes tell nothing: {}", said[1]);
    for text in said {
        assert!(!text.contains("canary") && !text.contains(s3::KEY), "{text}");
    }
}

#[test]
fn executors_count_the_rows_of_their_tasks() {
    let cluster = Cluster::start();
    fs::create_dir(cluster.path().join("shots")).unwrap();
    for i in 0..4 {
        let source = Path::new(&examples()).join(["city-1.jpg", "city-2.jpg"][i % 2]);
        fs::copy(source, cluster.path().join(format!("shots/{i}.jpg"))).unwrap();
    }
    fs::write(cluster.path().join("shots/broken.png"), b"no image").unwrap();
    let embed = |out: &str| {
        let args = ["embed", "shots", "--cluster", &cluster.address, "-o", out, "--on-error", "ignore", "--quiet"];
        run(cluster.path(), &args, 1);
    };
    assert_eq!(cluster.counted("imbed_rows_total{outcome=\"embedded\"}"), 0.0);
    for runs in [1.0, 2.0] {
        embed(&format!("out-{runs}/"));
        assert_eq!(cluster.counted("imbed_rows_total{outcome=\"embedded\"}"), 4.0 * runs);
        assert_eq!(cluster.counted("imbed_rows_total{outcome=\"failed\"}"), runs);
        assert_eq!(cluster.counted("imbed_row_errors_total{kind=\"decode\"}"), runs);
    }
    assert!(cluster.counted("imbed_stage_duration_seconds_count{stage=\"model\"}") >= 1.0);
    assert!(cluster.counted("imbed_run_info{provider=\"candle\",model=\"imbed/tiny\"}") >= 1.0);
    let taken = ["cluster", "executor", "--scheduler", "127.0.0.1:1", "--metrics-addr", &cluster.metrics[0]];
    let refused = run(cluster.path(), &taken, 2);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--metrics-addr"));
}

#[test]
fn rows_that_fail_are_counted_and_mistakes_are_told() {
    let cluster = Cluster::start();
    fs::create_dir(cluster.path().join("shots")).unwrap();
    for name in ["fruit-1.jpg", "fruit-2.jpg"] {
        let source = fs::read_dir(examples()).unwrap().map(|e| e.unwrap().path()).next().unwrap();
        fs::copy(source, cluster.path().join("shots").join(name)).unwrap();
    }
    fs::write(cluster.path().join("shots/broken.png"), b"no image").unwrap();
    let on = ["--cluster", cluster.address.as_str()];
    let ignored = [&["embed", "shots", "-o", "out/", "--on-error", "ignore"], &on[..]].concat();
    let told = run(cluster.path(), &ignored, 1);
    assert!(String::from_utf8_lossy(&told.stderr).contains("3 rows, 1 failed"), "{told:?}");
    // Relative paths mean the client's folder and are told as such.
    let found = vectors(&read_folder(&cluster.path().join("out")));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["shots/fruit-1.jpg", "shots/fruit-2.jpg"]);

    let raised = run(cluster.path(), &[&["embed", "shots", "-o", "raised/"], &on[..]].concat(), 3);
    let raised = String::from_utf8_lossy(&raised.stderr).into_owned();
    assert!(raised.contains("shots/broken.png") && raised.contains("--on-error ignore"), "{raised}");
    for args in [
        &["embed", "shots", "-o", "one.parquet"][..],
        &["embed", "shots", "-o", "x/", "--errors-column"],
        &["embed", "nowhere", "-o", "x/"],
        &["embed", "shots", "-o", "x/", "--model", "no/such-model"],
        &["sql", "SELECT embed_image(image, bach_size => 1) FROM images('shots')"],
    ] {
        run(cluster.path(), &[args, &on[..]].concat(), 2);
    }
}

#[test]
fn a_run_whose_scheduler_died_is_gone_on_with() {
    let mut cluster = Cluster::start();
    let path = cluster.path().to_owned();
    let shots = path.join("shots");
    fs::create_dir(&shots).unwrap();
    let images: Vec<_> = fs::read_dir(examples()).unwrap().map(|e| e.unwrap().path()).collect();
    for (n, image) in images.iter().cycle().take(300).enumerate() {
        fs::copy(image, shots.join(format!("{n:03}.jpg"))).unwrap();
    }
    let address = cluster.address.clone();
    let args = ["embed", "shots", "-o", "out/", "--cluster", &address, "--partitions", "30", "--json"];
    let again = |more: &[&str], code| run(&path, &[&args[..], more].concat(), code);
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let number = |output: &Output, key: &str| {
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let rest = told.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{told}")).1;
        rest.split([',', '}']).next().unwrap().parse::<u64>().unwrap()
    };
    // What the rows of `shots` have to be.
    let expected = || {
        run(&path, &["embed", "shots", "-o", "here.parquet", "--quiet", "--overwrite"], 0);
        vectors(&read(&path.join("here.parquet")))
    };
    let found = || vectors(&read_folder(&path.join("out")));

    let mut client = imbed(&path, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while parts(&path.join("out")).len() < 4 {
        assert!(start.elapsed() < Duration::from_mins(1) && client.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    cluster.kill_scheduler();
    let died = client.wait_with_output().unwrap();
    assert_eq!(died.status.code(), Some(3), "{}", said(&died));
    assert!(said(&died).contains(" parts are kept in ") && said(&died).contains("--resume"), "{}", said(&died));
    let kept = parts(&path.join("out"));
    let times: Vec<_> = kept.iter().map(|part| fs::metadata(part).unwrap().modified().unwrap()).collect();

    // The executors find the new one.
    cluster.replace_scheduler();
    assert!(said(&again(&[], 2)).contains("parts already"));
    let other = said(&again(&["--resume", "--normalize=false"], 2));
    assert!(other.contains("made otherwise") && other.contains("normalize"), "{other}");
    let done = again(&["--resume"], 0);
    assert_eq!(number(&done, "rows"), 300);
    assert!(number(&done, "resumed") >= 4 * 10 && number(&done, "resumed") < 300, "{done:?}");
    for (part, time) in kept.iter().zip(times) {
        assert_eq!(fs::metadata(part).unwrap().modified().unwrap(), time, "{} was written again", part.display());
    }
    assert_eq!(found(), expected());
    let manifest = fs::read_to_string(path.join("out/_imbed.json")).unwrap();
    assert!(manifest.contains("\"complete\": true") && manifest.contains("\"rows\": 300"), "{manifest}");

    // All of it, with nothing left to do.
    assert_eq!(number(&again(&["--resume"], 0), "resumed"), 300);
    // An image that is written anew costs its part, and rows that are gone are gone.
    let bytes = fs::read(shots.join("011.jpg")).unwrap();
    fs::write(shots.join("011.jpg"), bytes).unwrap();
    let changed = again(&["--resume"], 0);
    assert!((270..300).contains(&number(&changed, "resumed")), "{changed:?}");
    assert_eq!(found(), expected());
    (20..300).for_each(|n| fs::remove_file(shots.join(format!("{n:03}.jpg"))).unwrap());
    again(&["--resume"], 0);
    assert_eq!(found(), expected());

    // A folder that one kind of run has made is not gone on with by the other.
    let here = run(&path, &["embed", "shots", "-o", "out/", "--resume"], 2);
    assert!(said(&here).contains("a cluster has written this folder"), "{}", said(&here));
    run(&path, &["embed", "shots", "-o", "here/", "--quiet"], 0);
    let there = ["embed", "shots", "-o", "here/", "--cluster", &address, "--resume"];
    assert!(said(&run(&path, &there, 2)).contains("made otherwise"));
}

#[test]
fn a_scheduler_that_is_not_there_is_told_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let on = ["--cluster", "df://127.0.0.1:1"];
    for args in [&["sql", "SELECT 1"][..], &["embed", &examples(), "-o", "out/"]] {
        let start = Instant::now();
        let output = run(folder.path(), &[args, &on[..]].concat(), 3);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("no scheduler can be reached at 127.0.0.1:1"), "{told}");
        assert!(told.contains("imbed cluster scheduler --bind"), "{told}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    let executor = ["cluster", "executor", "--scheduler", "127.0.0.1:1", "--connect-timeout", "1"];
    run(folder.path(), &executor, 3);
    let gpus = run(folder.path(), &["cluster", "executor", "--gpus", "1000"], 2);
    assert!(String::from_utf8_lossy(&gpus.stderr).contains("1000 GPUs"));
}

#[cfg(unix)]
#[test]
fn processes_end_in_good_order_when_they_are_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (mut scheduler, line) = Process::start(folder.path(), &["cluster", "scheduler", "--bind", "127.0.0.1:0"]);
    let address = line.rsplit(' ').next().unwrap().to_owned();
    let args = ["cluster", "executor", "--scheduler", &address, "--gpus", "0"];
    let (mut executor, _) = Process::start(folder.path(), &args);
    for process in [&mut executor, &mut scheduler] {
        let id = process.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let start = Instant::now();
        let status = loop {
            if let Some(status) = process.0.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "it goes on");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(status.code(), Some(0));
    }
}
