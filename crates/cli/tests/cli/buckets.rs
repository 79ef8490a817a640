//! Buckets that are slow, in trouble, or die in the middle of a run.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use imbed::core::image::{EncodeFormat, Image, Mode, Samples, encode};
use serde_json::Value;

use crate::{
    faulty::{Fault, Faulty},
    fixture::{Embedded, Folder, batch, binary, png, stderr, stdout, texts, write_parquet},
    resume::{Row, rows_of, undisturbed},
    s3::Server,
};

const IMAGES: usize = 40;

/// Requests are given up after so long, where a test has no half minute for each.
const BRIEF: &str = "400ms";

/// No run may take longer, whatever the store does.
const PATIENCE: Duration = Duration::from_mins(3);

fn args(place: &str) -> Vec<String> {
    ["embed", "shots", "-o", place, "--part-rows", "8", "--resume", "--json"].map(str::to_owned).to_vec()
}

/// How a run ended.
struct Ended {
    code: i32,
    summary: Value,
    message: String,
}

/// Runs `imbed ARGS` with the bucket at `url`.
fn run(folder: &Folder, server: &Server, url: &str, set: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = folder.imbed(args);
    command.envs(server.variables()).env("AWS_ENDPOINT_URL", url).envs(set.iter().copied()).timeout(PATIENCE);
    let assert = command.assert();
    let message = stderr(&assert);
    let code = assert.get_output().status.code().unwrap_or_else(|| panic!("{args:?} goes on for ever: {message}"));
    Ended { code, summary: serde_json::from_str(&stdout(&assert)).unwrap_or_default(), message }
}

fn embed(folder: &Folder, server: &Server, url: &str, set: &[(&str, &str)], place: &str, more: &[&str]) -> Ended {
    let args = args(place);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    run(folder, server, url, set, &args)
}

/// The rows of all objects in the bucket's folder that are tables, in the order of their names.
fn found(folder: &Folder, server: &Server, name: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in server.keys("b").iter().filter(|key| key.starts_with(&format!("{name}/")) && key.ends_with(".parquet")) {
        let file = format!("read-{name}.parquet");
        folder.write(&file, &server.get("b", key).unwrap());
        rows.extend(rows_of(&Embedded::read(&folder.path(&file))));
    }
    rows
}

/// The bucket's folder is whole and has the rows of a run that nobody disturbed: none lost, none doubled, none swapped.
fn assert_whole(folder: &Folder, server: &Server, name: &str, expected: &[Row]) {
    let found = found(folder, server, name);
    let keys: BTreeSet<_> = found.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!((found.len(), keys.len()), (IMAGES, IMAGES), "{name}: lost or doubled");
    assert_eq!(found, expected, "{name}");
    let manifest: Value = serde_json::from_slice(&server.get("b", &format!("{name}/_imbed.json")).unwrap()).unwrap();
    assert_eq!((&manifest["complete"], &manifest["rows"]), (&true.into(), &IMAGES.into()), "{name}");
    assert_eq!(server.unfinished(), 0, "{name}");
}

/// Runs each of `cases` in one of a few threads.
fn all_at_once<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, SeqCst)) {
                    check(case);
                }
            });
        }
    });
}

/// Every `n`-th request from the first on meets with `fault`.
fn each(n: usize, fault: Fault) -> impl Fn(usize) -> Fault + Send + Sync + 'static {
    move |i| if i % n == 0 { fault } else { Fault::None }
}

#[test]
fn trouble_that_passes_is_not_noticed() {
    let folder = Folder::with_shots(IMAGES);
    let expected = undisturbed(&folder, &["shots"]);
    let server = Server::start();
    server.bucket("b");
    let cases = [
        ("busy", 2, Fault::Status("503 Slow Down")),
        ("failing", 2, Fault::Status("500 Internal Server Error")),
        ("lost", 2, Fault::Lost),
        ("unheard", 2, Fault::Unheard),
        ("slow", 1, Fault::Slow(Duration::from_millis(250))),
        // Longer than a request may take.
        ("stalled", 3, Fault::Slow(Duration::from_secs(2))),
    ];
    all_at_once(&cases, |&(name, n, fault)| {
        let proxy = Faulty::start(server.url(), each(n, fault));
        let place = format!("s3://b/{name}/");
        let set: &[(&str, &str)] = if name == "stalled" { &[("AWS_TIMEOUT", "1s")] } else { &[] };
        // Both what makes an output and what goes on with one: it lists, and reads footers and the manifest.
        let first = embed(&folder, &server, &proxy.url(), set, &place, &["--limit", "24"]);
        assert_eq!(first.code, 0, "{name}: {}", first.message);
        let second = embed(&folder, &server, &proxy.url(), set, &place, &[]);
        assert_eq!(second.code, 0, "{name}: {}", second.message);
        assert_eq!((&second.summary["rows"], &second.summary["resumed"]), (&IMAGES.into(), &24.into()), "{name}");
        assert!(proxy.asked() > 15, "{name}: {} requests went this way", proxy.asked());
        assert_whole(&folder, &server, name, &expected);
    });
}

/// How many rows the message says are kept.
fn told(message: &str) -> u64 {
    let before = message.split(" rows are kept in").next().filter(|before| before.len() < message.len());
    before.and_then(|before| before.rsplit(char::is_whitespace).next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_store_that_dies_in_the_middle_costs_nothing_that_is_done() {
    let folder = Folder::with_shots(IMAGES);
    let expected = undisturbed(&folder, &["shots"]);
    let server = Server::start();
    server.bucket("b");
    let counting = Faulty::start(server.url(), |_| Fault::None);
    assert_eq!(embed(&folder, &server, &counting.url(), &[], "s3://b/counted/", &[]).code, 0);
    let requests = counting.asked();
    assert!(requests >= 8, "a manifest twice and five parts are more than {requests} requests");
    let mut cases: Vec<(String, usize, Fault)> = (0..requests).map(|n| (format!("dead-{n}"), n, Fault::Dead)).collect();
    for n in (1..requests).step_by(3) {
        cases.push((format!("failing-{n}"), n, Fault::Status("503 Service Unavailable")));
        cases.push((format!("stalled-{n}"), n, Fault::Slow(Duration::from_mins(10))));
        cases.push((format!("unheard-{n}"), n, Fault::Unheard));
    }
    all_at_once(&cases, |&(ref name, n, fault)| {
        let proxy = Faulty::start(server.url(), move |i| if i < n { Fault::None } else { fault });
        let place = format!("s3://b/{name}/");
        let start = Instant::now();
        let died = embed(&folder, &server, &proxy.url(), &[("AWS_TIMEOUT", BRIEF)], &place, &[]);
        let message = &died.message;
        assert_eq!(died.code, 3, "{name}: {message}");
        assert!(start.elapsed() < Duration::from_mins(2), "{name} took {:?}", start.elapsed());
        assert!(message.contains(&place), "{name} does not say where: {message}");
        assert!(message.contains("--resume"), "{name} does not say how to go on: {message}");
        assert!(!message.contains("canary"), "{name}: {message}");
        let kept = told(message);
        let went_on = embed(&folder, &server, server.url(), &[], &place, &[]);
        assert_eq!(went_on.code, 0, "{name}: {}", went_on.message);
        let resumed = went_on.summary["resumed"].as_u64().unwrap();
        assert!(resumed >= kept, "{name}: {kept} rows were said to be kept, {resumed} were");
        assert_whole(&folder, &server, name, &expected);
    });
}

#[test]
fn a_store_that_dies_while_parts_are_replaced_and_moved_loses_none() {
    let folder = Folder::with_shots(IMAGES);
    let server = Server::start();
    server.bucket("b");
    folder.write("shots/00a.png", &png(70));
    assert_eq!(embed(&folder, &server, server.url(), &[], "s3://b/before/", &[]).code, 0);
    // From here on the first part is to be made again and removed, and the others are to be renamed.
    fs::remove_file(folder.path("shots/00a.png")).unwrap();
    let expected = undisturbed(&folder, &["shots"]);
    let copy = |name: &str| {
        for key in server.keys("b").iter().filter(|key| key.starts_with("before/")) {
            server.put("b", &key.replace("before/", &format!("{name}/")), server.get("b", key).unwrap());
        }
    };
    copy("counted");
    let counting = Faulty::start(server.url(), |_| Fault::None);
    assert_eq!(embed(&folder, &server, &counting.url(), &[], "s3://b/counted/", &[]).code, 0);
    assert_whole(&folder, &server, "counted", &expected);
    let cases: Vec<usize> = (0..counting.asked()).step_by(3).collect();
    assert!(cases.len() >= 8, "{} requests", counting.asked());
    all_at_once(&cases, |&n| {
        let name = format!("again-{n}");
        copy(&name);
        let fault = if n % 2 == 0 { Fault::Dead } else { Fault::Unheard };
        let proxy = Faulty::start(server.url(), move |i| if i < n { Fault::None } else { fault });
        let place = format!("s3://b/{name}/");
        let died = embed(&folder, &server, &proxy.url(), &[], &place, &[]);
        assert_eq!(died.code, 3, "{name}: {}", died.message);
        assert!(died.message.contains(&place) && died.message.contains("--resume"), "{name}: {}", died.message);
        let went_on = embed(&folder, &server, server.url(), &[], &place, &[]);
        assert_eq!(went_on.code, 0, "{name}: {}", went_on.message);
        assert_whole(&folder, &server, &name, &expected);
    });
}

/// Images that do not get smaller by compression, of some 3 MB each.
fn noise(n: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(n);
    let pixels = (0..1000 * 1000 * 3).map(|_| random.u8(..)).collect();
    encode(&Image::new(Mode::Rgb, 1000, 1000, Samples::U8(pixels)).unwrap(), EncodeFormat::Png).unwrap()
}

#[test]
fn a_part_that_takes_longer_than_a_request_may_is_sent_in_pieces() {
    let folder = Folder::new();
    let paths = ["0", "1", "2", "3", "4", "5"];
    let images: Vec<Option<Vec<u8>>> = (0..6).map(|i| Some(noise(i))).collect();
    write_parquet(&folder.path("t.parquet"), &batch(vec![("path", texts(&paths)), ("image", binary(&images))]));
    let server = Server::start();
    server.bucket("b");
    // The one part takes some 5 seconds, and no request may take more than 3.
    let proxy = Faulty::start(server.url(), |_| Fault::Narrow(4 << 20));
    let args = ["embed", "t.parquet", "-o", "s3://b/e/", "--keep-image", "--json"];
    let ended = run(&folder, &server, &proxy.url(), &[("AWS_TIMEOUT", "3s")], &args);
    assert_eq!(ended.code, 0, "{}", ended.message);
    assert_eq!((&ended.summary["rows"], &ended.summary["parts"]), (&6.into(), &1.into()));
    let part = server.get("b", "e/part-000000000000.parquet").unwrap();
    assert!(part.len() > 12 << 20, "the part has {} bytes, which one request would have carried in time", part.len());
    folder.write("part.parquet", &part);
    let keys = rows_of(&Embedded::read(&folder.path("part.parquet")));
    assert_eq!((keys.len(), server.unfinished()), (6, 0));

    // One that never gets through leaves nothing under its name, and takes back what it has sent.
    let narrow = Faulty::start(server.url(), |_| Fault::Narrow(100 << 10));
    let args = ["embed", "t.parquet", "-o", "s3://b/never/", "--keep-image"];
    let ended = run(&folder, &server, &narrow.url(), &[("AWS_TIMEOUT", "1s")], &args);
    assert_eq!(ended.code, 3, "{}", ended.message);
    assert!(ended.message.contains("s3://b/never/part-000000000000.parquet"), "{}", ended.message);
    assert!(ended.message.contains("AWS_TIMEOUT"), "{}", ended.message);
    assert_eq!((server.get("b", "never/part-000000000000.parquet"), server.unfinished()), (None, 0));
}

#[test]
fn an_answer_that_is_lost_while_a_part_goes_up_in_pieces_costs_nothing() {
    let folder = Folder::new();
    let paths = ["0", "1"];
    let images: Vec<Option<Vec<u8>>> = (0..2).map(|i| Some(noise(i))).collect();
    write_parquet(&folder.path("t.parquet"), &batch(vec![("path", texts(&paths)), ("image", binary(&images))]));
    let server = Server::start();
    server.bucket("b");
    let embed = |url: &str, name: &str| {
        let place = format!("s3://b/{name}/");
        let args = ["embed", "t.parquet", "-o", &place, "--keep-image", "--json"];
        run(&folder, &server, url, &[("AWS_TIMEOUT", "5s")], &args)
    };
    let rows = |name: &str| {
        let part = server.get("b", &format!("{name}/part-000000000000.parquet")).unwrap();
        let file = format!("{name}.parquet");
        folder.write(&file, &part);
        rows_of(&Embedded::read(&folder.path(&file)))
    };
    let counting = Faulty::start(server.url(), |_| Fault::None);
    let counted = embed(&counting.url(), "counted");
    assert_eq!(counted.code, 0, "{}", counted.message);
    let expected = rows("counted");
    assert_eq!(expected.len(), 2);
    // The beginning of the upload, two pieces, its end; and what is before and after.
    assert!(counting.asked() >= 6, "{} requests", counting.asked());
    let cases: Vec<usize> = (0..counting.asked()).collect();
    all_at_once(&cases, |&n| {
        let name = format!("unheard-{n}");
        let proxy = Faulty::start(server.url(), move |i| if i == n { Fault::Unheard } else { Fault::None });
        let ended = embed(&proxy.url(), &name);
        assert_eq!(ended.code, 0, "{name}: {}", ended.message);
        assert_eq!(rows(&name), expected, "{name}");
        let keys: Vec<_> = server.keys("b").into_iter().filter(|key| key.starts_with(&format!("{name}/"))).collect();
        assert_eq!(keys.len(), 2, "a part and the manifest, not {keys:?}");
    });
}

#[test]
fn images_and_tables_are_read_whole_or_not_at_all() {
    let folder = Folder::with_shots(IMAGES);
    let server = Server::start();
    // A list is several answers.
    server.page(9);
    for i in 0..IMAGES {
        server.put("b", &format!("shots/{i:02}.png"), fs::read(folder.path(&format!("shots/{i:02}.png"))).unwrap());
    }
    let copied = |from: &str| format!("COPY (SELECT arrow_cast(path, 'Utf8') AS path, {from} ORDER BY path) TO");
    let query = copied("embed_image(image) AS embedding FROM images('s3://b/shots/**')");
    let copy = |to: &str| format!("{query} '{to}'");
    let sql = |query: &str, url: &str| run(&folder, &server, url, &[("AWS_TIMEOUT", "1s")], &["sql", query]);
    assert_eq!(sql(&copy("expected.parquet"), server.url()).code, 0);
    let expected = rows_of(&Embedded::read(&folder.path("expected.parquet")));
    assert_eq!(expected.len(), IMAGES);

    let cases = [
        ("busy", 3, Fault::Status("503 Slow Down")),
        ("lost", 3, Fault::Lost),
        ("cut", 3, Fault::Cut),
        ("stalled", 15, Fault::Slow(Duration::from_millis(2500))),
    ];
    for (name, n, fault) in cases {
        let file = format!("{name}.parquet");
        // The first request is a list.
        let proxy = Faulty::start(server.url(), each(n, fault));
        let ended = sql(&copy(&file), &proxy.url());
        assert_eq!(ended.code, 0, "{name}: {}", ended.message);
        assert_eq!(rows_of(&Embedded::read(&folder.path(&file))), expected, "{name}");
        // And the table from a bucket.
        server.put("b", &format!("tables/{file}"), fs::read(folder.path(&file)).unwrap());
        let proxy = Faulty::start(server.url(), each(n, fault));
        let again = copied(&format!("embedding FROM 's3://b/tables/{file}'"));
        let ended = sql(&format!("{again} 'again.parquet'"), &proxy.url());
        assert_eq!(ended.code, 0, "{name}: {}", ended.message);
        assert_eq!(rows_of(&Embedded::read(&folder.path("again.parquet"))), expected, "{name}");
    }

    // A store that is gone is no broken image: nulls in place of what it still has would be lost work that looks done.
    let patient = query.replace("/**'", "/**', 'ignore'").replace("(image)", "(image, on_error => 'ignore')");
    assert_ne!(patient, query);
    for n in [0, 1, 7, 30] {
        for (query, to) in [(&query, "never.parquet"), (&query, "s3://b/never.parquet"), (&patient, "never.parquet")] {
            let proxy = Faulty::start(server.url(), move |i| if i < n { Fault::None } else { Fault::Dead });
            let ended = sql(&format!("{query} '{to}'"), &proxy.url());
            assert_eq!(ended.code, 3, "{n} {to}: {}", ended.message);
            assert!(ended.message.contains("s3://b/"), "{n} {to} does not say where: {}", ended.message);
            assert!(!folder.path("never.parquet").exists() && server.get("b", "never.parquet").is_none(), "{n} {to}");
        }
    }
}
