//! Images and tables in buckets and on web servers.

mod support;

#[path = "support/s3.rs"]
mod s3;

use std::time::{Duration, Instant};

use arrow_array::{
    Array,
    cast::AsArray,
    types::{Int64Type, TimestampMicrosecondType},
};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use imbed_core::{ErrorKind, Registry, Session};
use imbed_datafusion::{ImageContext, Imbed, Stores, hold_copy, with_file_tables};
use s3::Server;
use support::{Counting, colour, error, examples, explain, png, rows, texts, vector, vectors};

/// A session with these settings.
fn session(variables: Vec<(String, String)>) -> SessionContext {
    let imbed = Imbed::new(Session::new(Registry::linked())).with_stores(Stores::new(variables));
    with_file_tables(imbed.context())
}

/// A server with `n` images in the bucket `photos`, and a session that reaches it.
fn server(n: usize) -> (Server, SessionContext) {
    let server = Server::start();
    for i in 0..n {
        server.put("photos", &format!("shots/{i:04}.png"), png(i));
    }
    let context = session(server.variables());
    (server, context)
}

fn with(mut variables: Vec<(String, String)>, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    for (name, value) in changes {
        variables.retain(|(known, _)| known != name);
        if !value.is_empty() {
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    variables
}

#[tokio::test]
async fn a_bucket_is_a_table_of_its_images() {
    let (server, context) = server(2);
    for (key, bytes) in [
        ("shots/notes.txt", &b"no image"[..]),
        ("shots/.hidden.png", b""),
        ("shots/.cache/x.png", b""),
        ("shots/sub/a b&ü%20.jpg", b"\xff\xd8\xffnot all of it"),
        ("shots/zero.png", b""),
        ("other/x.png", b""),
    ] {
        server.put("photos", key, bytes);
    }
    let paths =
        ["0000.png", "0001.png", "sub/a b&ü%20.jpg", "zero.png"].map(|name| format!("s3://photos/shots/{name}"));
    for place in ["s3://photos/shots/", "s3://photos/shots", "s3://photos/shots/**"] {
        let batch = rows(&context, &format!("SELECT * FROM images('{place}') ORDER BY path")).await;
        assert_eq!(texts(batch.column(0)).into_iter().flatten().collect::<Vec<_>>(), paths, "{place}");
        let sizes = batch.column(1).as_primitive::<Int64Type>();
        assert_eq!(sizes.values(), &[png(0).len() as i64, png(1).len() as i64, 16, 0]);
        let modified = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(modified.value(0), 1_606_377_600_000_000);
        let formats = ["image/png", "image/png", "image/jpeg"].map(|f| Some(f.to_owned()));
        assert_eq!(texts(batch.column(3)), [&formats[..], &[None]].concat());
        assert_eq!(batch.column(4).as_binary::<i32>().value(1), png(1));
    }
    let one = rows(&context, "SELECT path FROM images('s3://photos/shots/notes.txt')").await;
    assert_eq!(one.num_rows(), 1);
}

#[tokio::test]
async fn a_list_of_many_pages_is_read_page_by_page() {
    let (server, context) = server(0);
    for i in 0..2500 {
        server.put("photos", &format!("many/{i:05}.png"), *b"x");
    }
    let batch = rows(&context, "SELECT path FROM images('s3://photos/many/*.png')").await;
    let paths: Vec<String> = texts(batch.column(0)).into_iter().flatten().collect();
    assert!(paths.is_sorted() && paths.len() == 2500);
    let seen = server.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(s3::Seen::is_list));
}

#[tokio::test]
async fn only_what_meets_the_conditions_is_fetched() {
    let (server, context) = server(30);
    server.put("photos", "shots/large.png", vec![0; 5000]);
    let query = "SELECT image FROM images('s3://photos/shots/**') WHERE size < 1000 AND path LIKE '%/000_.png'";
    let plan = explain(&context, query).await;
    assert!(plan.contains("ImagesExec: s3://photos/shots/**, columns=[image], files where"), "{plan}");
    server.seen();
    assert_eq!(rows(&context, query).await.num_rows(), 10);
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|request| request.is_get()).count(), 10);
    assert!(seen.iter().filter(|request| request.is_get()).all(|request| request.range.is_none()));
}

#[tokio::test]
async fn formats_cost_the_first_bytes_of_each_object() {
    let (server, context) = server(4);
    server.put("photos", "shots/large.png", [png(0), vec![0; 100_000]].concat());
    server.put("photos", "shots/none.png", b"no image".to_vec());
    server.put("photos", "shots/zero.png", vec![]);
    let batch = rows(&context, "SELECT format FROM images('s3://photos/shots') WHERE format IS NOT NULL").await;
    assert_eq!(texts(batch.column(0)), vec![Some("image/png".to_owned()); 5]);
    let gets: Vec<_> = server.seen().into_iter().filter(s3::Seen::is_get).collect();
    assert_eq!(gets.len(), 6, "an empty object has no bytes to fetch");
    assert!(gets.iter().all(|get| get.range.as_deref() == Some("bytes=0-1023")), "{gets:?}");
}

#[tokio::test]
async fn a_limit_ends_the_list_and_the_reading() {
    let (server, context) = server(0);
    server.listed_only("huge", 1_000_000);
    let batch = rows(&context, "SELECT path FROM images('s3://huge/images/*.jpg') LIMIT 5").await;
    assert_eq!(texts(batch.column(0))[4].as_deref(), Some("s3://huge/images/000000004.jpg"));
    assert_eq!(server.seen().len(), 1);
    for i in 0..500 {
        server.put("photos", &format!("shots/{i:04}.png"), png(i));
    }
    server.page(100);
    let query = "SELECT image FROM images('s3://photos/shots') WHERE path > 's3://photos/shots/0250' LIMIT 3";
    assert_eq!(rows(&context, query).await.num_rows(), 3);
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|request| request.is_get()).count(), 3);
    let lists = seen.iter().filter(|request| request.is_list()).count();
    assert!((3..=6).contains(&lists), "{lists} pages for rows that are on the third");
}

/// The requests that are made until there are none for a while.
async fn pages_until_quiet(server: &Server) -> usize {
    let mut pages = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        match server.seen().len() {
            0 => return pages,
            more => pages += more,
        }
    }
    panic!("{pages} requests, and no end")
}

#[tokio::test]
async fn a_query_that_is_dropped_asks_for_no_more() {
    let (server, context) = server(0);
    server.listed_only("huge", 1_000_000);
    let table = context.read_images("s3://huge/images/").await.unwrap().select_columns(&["path"]).unwrap();
    let mut stream = table.execute_stream().await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    // The list goes on to where the groups that wait are full.
    let ahead = pages_until_quiet(&server).await;
    assert!(ahead < 200, "{ahead} of 1000 pages were read for one batch");
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    drop(stream);
    let more = pages_until_quiet(&server).await;
    assert!(more < 50, "{more} pages were read for nobody");
}

#[tokio::test]
async fn a_pattern_is_listed_from_its_first_key_to_its_last() {
    let (server, context) = server(0);
    for day in 1..=30 {
        for i in 0..20 {
            server.put("photos", &format!("2024-04-{day:02}/{i:02}.png"), *b"x");
        }
    }
    server.page(20);
    let batch = rows(&context, "SELECT path FROM images('s3://photos/2024-04-1*/0?.png')").await;
    assert_eq!(batch.num_rows(), 100);
    let lists = server.seen().len();
    assert!((10..=12).contains(&lists), "{lists} pages for 10 of 30 days");
}

#[tokio::test]
async fn vectors_are_those_of_local_files_bit_for_bit() {
    let (server, context) = server(0);
    let folder = examples();
    let folder = folder.trim_matches('\'');
    let mut n = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if imbed_engine::files::image_path(&path).is_ok() {
            let name = path.file_name().unwrap().to_str().unwrap();
            server.put("photos", &format!("examples/{name}"), std::fs::read(&path).unwrap());
            n += 1;
        }
    }
    let embed = async |place: &str| {
        let query = format!("SELECT path, embed_image(image) AS e FROM images('{place}') ORDER BY path");
        let batch = rows(&context, &query).await;
        let names = texts(batch.column(0)).into_iter().flatten();
        let names: Vec<String> = names.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
        (names, vectors(batch.column(1)))
    };
    let (local, remote) = (embed(folder).await, embed("s3://photos/examples/**").await);
    assert!(n > 3 && remote.0.len() == n && remote.1.iter().all(Option::is_some));
    assert_eq!(local, remote);
    assert_eq!(server.seen().iter().filter(|request| request.is_get()).count(), n);
}

#[tokio::test]
async fn a_copy_to_a_bucket_is_read_back() {
    let (_, counts) = Counting::session("stores_copy");
    let (server, _) = server(20);
    let mut session = Session::new(Registry::linked());
    let provider = Counting { name: "stores_copy", counts };
    session.attach("stores_copy", std::sync::Arc::new(provider), imbed_core::options::OptionMap::default());
    let context = with_file_tables(Imbed::new(session).with_stores(Stores::new(server.variables())).context());
    let copy = "COPY (SELECT path, embed_image(image, provider => 'stores_copy') AS e FROM images('s3://photos/shots') \
                ORDER BY path) TO 's3://photos/tables/e.parquet'";
    rows(&context, copy).await;
    assert!(server.get("photos", "tables/e.parquet").is_some_and(|file| file.starts_with(b"PAR1")));
    let batch =
        rows(&context, "SELECT arrow_cast(path, 'Utf8') AS path, e FROM 's3://photos/tables/e.parquet' ORDER BY path")
            .await;
    let expected: Vec<_> = (0..20).map(|i| Some(vector(i))).collect();
    assert_eq!(vectors(batch.column(1)), expected);
    assert_eq!(texts(batch.column(0))[7].as_deref(), Some("s3://photos/shots/0007.png"));
    assert_eq!(colour(0), [0, 0, 0]);
}

#[tokio::test]
async fn a_copy_that_is_held_is_there_when_it_is_whole() {
    let (server, context) = server(3);
    let copy = async |query: &str| {
        let state = context.state();
        let statement = context.image_statements(query).unwrap().remove(0);
        let mut plan = state.statement_to_plan(statement).await.unwrap();
        let held = hold_copy(&context, &mut plan).unwrap().unwrap();
        let ran = context.execute_logical_plan(plan).await.unwrap().collect().await;
        (ran, held)
    };
    let to = "TO 's3://photos/t/x.parquet'";
    let (ran, held) = copy(&format!("COPY (SELECT path FROM images('s3://photos/shots')) {to}")).await;
    ran.unwrap();
    assert_eq!(server.get("photos", "t/x.parquet"), None);
    held.commit().await.unwrap();
    assert_eq!(rows(&context, "SELECT * FROM 's3://photos/t/x.parquet'").await.num_rows(), 3);
    let before = server.get("photos", "t/x.parquet");
    server.vanish("photos", "shots/0002.png");
    let (ran, held) = copy(&format!("COPY (SELECT image FROM images('s3://photos/shots')) {to}")).await;
    assert!(imbed_datafusion::cause(&ran.unwrap_err()).message().contains("0002.png"));
    held.abort().await;
    assert_eq!(server.get("photos", "t/x.parquet"), before);
    assert_eq!(server.unfinished(), 0);
    // More than one part, and more than one object.
    let rows_of = "SELECT value AS x, random() AS r FROM range(1000000)";
    let (ran, held) = copy(&format!("COPY ({rows_of}) TO 's3://photos/many/' STORED AS PARQUET")).await;
    ran.unwrap();
    held.commit().await.unwrap();
    let count = rows(&context, "SELECT count(*) FROM 's3://photos/many/'").await;
    assert_eq!(count.column(0).as_primitive::<Int64Type>().value(0), 1_000_000);
}

#[tokio::test]
async fn tables_are_objects_patterns_and_folders() {
    let (server, context) = server(0);
    for (bucket, n) in [("photos", 1), ("other", 5)] {
        server.bucket(bucket);
        for part in ["part-0", "part-1"] {
            rows(&context, &format!("COPY (SELECT {n} AS x) TO 's3://{bucket}/t/{part}.parquet'")).await;
        }
    }
    server.put("photos", "list.csv", b"a,b\n1,2\n3,4\n".to_vec());
    server.put("photos", "list.tsv", b"a\tb\n1\t2\n".to_vec());
    server.put("photos", "lines.jsonl", b"{\"a\": 7}\n{\"a\": 8}\n".to_vec());
    let sum = async |column: &str, table: &str| {
        let batch = rows(&context, &format!("SELECT sum({column}) FROM '{table}'")).await;
        batch.column(0).as_primitive::<Int64Type>().value(0)
    };
    assert_eq!(sum("x", "s3://photos/t/part-0.parquet").await, 1);
    assert_eq!(sum("x", "s3://photos/t/").await, 2);
    assert_eq!(sum("x", "s3://other/t/").await, 10, "another bucket's list is another");
    assert_eq!(sum("x", "s3://photos/t/part-*.parquet").await, 2);
    assert_eq!(sum("a", "s3://photos/list.csv").await, 4);
    assert_eq!(sum("b", "s3://photos/list.tsv").await, 2);
    assert_eq!(sum("a", "s3://photos/lines.jsonl").await, 15);
    rows(&context, "COPY (SELECT 10 AS x) TO 's3://photos/t/part-2.parquet'").await;
    assert_eq!(sum("x", "s3://photos/t/").await, 12, "what was written is seen");
    for nothing in ["s3://photos/none/", "s3://photos/none.parquet", "s3://photos/none-*.csv", "s3://photos/shots.png"]
    {
        let error = error(&context, &format!("SELECT * FROM '{nothing}'")).await;
        assert!(error.message().contains("there is no table") && error.hint_text().is_some(), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_says_so() {
    let (server, context) = server(1);
    let images = |place: &str| format!("SELECT path FROM images('{place}')");
    let bucket = error(&context, &images("s3://nowhere/x/")).await;
    assert_eq!(bucket.kind(), ErrorKind::BadInput);
    assert!(bucket.message().contains("s3://nowhere") && bucket.message().contains("no such bucket"), "{bucket}");
    let nothing = error(&context, &images("s3://photos/shots/*.gif")).await;
    assert!(nothing.message().contains("matches no object"), "{nothing}");
    let nothing = error(&context, &images("s3://photos/nothing")).await;
    assert!(nothing.message().contains("s3://photos/nothing: there is no image here"), "{nothing}");

    let wrong = session(with(server.variables(), &[("AWS_ACCESS_KEY_ID", "id-canary")]));
    for query in [
        images("s3://photos/shots/"),
        images("s3://photos/shots/0000.png"),
        "SELECT * FROM 's3://photos/x.parquet'".to_owned(),
        "COPY (SELECT 1) TO 's3://photos/x.parquet'".to_owned(),
    ] {
        let denied = error(&wrong, &query).await;
        assert_eq!(denied.kind(), ErrorKind::Request, "{query}: {denied}");
        assert!(denied.message().contains("s3://photos") && denied.message().contains("access is denied"), "{denied}");
        assert!(denied.hint_text().unwrap().contains("AWS_ACCESS_KEY_ID"), "{denied}");
        assert!(!format!("{denied} {denied:?}").contains("canary"), "{denied:?}");
    }
    let bucket = error(&context, "COPY (SELECT 1) TO 's3://nowhere/x.parquet'").await;
    assert!(bucket.message().contains("no such bucket"), "{bucket}");
}

#[tokio::test]
async fn missing_credentials_are_told_soon_and_a_public_bucket_needs_none() {
    let (server, _) = server(0);
    server.put("public", "x.png", png(0));
    let none =
        [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")];
    for off in ["", "true"] {
        let none = with(server.variables(), &[&none[..], &[("AWS_EC2_METADATA_DISABLED", off)]].concat());
        let start = Instant::now();
        let missing = error(&session(none), "SELECT path FROM images('s3://public/')").await;
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(missing.kind(), ErrorKind::Config);
        assert!(missing.message().contains("no credentials for S3 are set"), "{missing}");
        assert!(missing.hint_text().unwrap().contains("AWS_SKIP_SIGNATURE=true"), "{missing}");
    }
    let unsigned = session(with(server.variables(), &[&none[..], &[("AWS_SKIP_SIGNATURE", "true")]].concat()));
    assert_eq!(rows(&unsigned, "SELECT image FROM images('s3://public/')").await.num_rows(), 1);
    let denied = error(&unsigned, "SELECT image FROM images('s3://photos/')").await;
    assert!(denied.message().contains("access is denied"), "{denied}");
}

#[tokio::test]
async fn an_address_that_nobody_answers_at_is_told() {
    let nobody = Server::start();
    let variables = with(nobody.variables(), &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]);
    let insecure = session(with(variables, &[("AWS_ALLOW_HTTP", "")]));
    let error = error(&insecure, "SELECT path FROM images('s3://photos/')").await;
    assert!(error.message().contains("begins with http://"), "{error}");
    assert!(error.hint_text().unwrap().contains("AWS_ALLOW_HTTP=true"), "{error}");
}

#[tokio::test]
async fn an_object_that_vanished_or_is_denied_or_too_large_stops_the_query_or_becomes_null() {
    let (server, context) = server(5);
    server.vanish("photos", "shots/0001.png");
    server.deny("photos", "shots/0002.png");
    server.list_as("photos", "shots/0003.png", 600 << 20);
    for (place, what) in [
        ("s3://photos/shots/*1.png", "there is no such object"),
        ("s3://photos/shots/*2.png", "access is denied"),
        ("s3://photos/shots/*3.png", "bytes of an encoded image"),
    ] {
        let raised = error(&context, &format!("SELECT image FROM images('{place}')")).await;
        assert!(raised.message().contains("s3://photos/shots/000") && raised.message().contains(what), "{raised}");
        assert!(raised.hint_text().unwrap().contains("'ignore'"), "{raised}");
    }
    server.seen();
    let batch = rows(&context, "SELECT size, format, image FROM images('s3://photos/shots', 'ignore')").await;
    assert_eq!((batch.num_rows(), batch.column(1).null_count(), batch.column(2).null_count()), (5, 3, 3));
    assert!(batch.column(2).is_valid(0) && batch.column(2).is_valid(4));
    let large = server.seen().iter().filter(|request| request.is_get() && request.key.ends_with("3.png")).count();
    assert_eq!(large, 0, "what is too large is not fetched");
    assert_eq!(rows(&context, "SELECT path FROM images('s3://photos/shots')").await.num_rows(), 5);
}

#[tokio::test]
async fn a_service_that_asks_to_slow_down_is_asked_again() {
    let (server, context) = server(3);
    server.busy(2);
    assert_eq!(rows(&context, "SELECT image FROM images('s3://photos/shots')").await.num_rows(), 3);
    assert_eq!(server.seen().len(), 2 + 1 + 1 + 3);
}

#[tokio::test]
async fn an_object_that_is_no_image_is_named_by_the_embedding() {
    let (server, context) = server(2);
    server.put("photos", "shots/9.png", b"no image at all".to_vec());
    let raised = error(&context, "SELECT embed_image(image) FROM images('s3://photos/shots/')").await;
    assert_eq!(raised.kind(), ErrorKind::Decode);
    let query =
        "SELECT path, embed_image(image, on_error => 'ignore') AS e FROM images('s3://photos/shots/') ORDER BY path";
    let batch = rows(&context, query).await;
    assert_eq!(vectors(batch.column(1)).iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn a_file_of_a_web_server_is_read_by_its_address() {
    let (server, context) = server(0);
    server.put("public", "a b/x.png", png(3));
    rows(&context, "COPY (SELECT 1 AS x) TO 's3://public/t.parquet'").await;
    let url = server.url().to_owned();
    for plain in [false, true] {
        if plain {
            server.plain();
        }
        let place = format!("{url}/public/a%20b/x.png");
        let batch = rows(&context, &format!("SELECT path, size, format, image FROM images('{place}')")).await;
        assert_eq!(texts(batch.column(0)), [Some(place.clone())]);
        assert_eq!(batch.column(1).is_null(0), plain, "a server may not tell the size");
        assert_eq!(texts(batch.column(2))[0].as_deref(), Some("image/png"));
        assert_eq!(batch.column(3).as_binary::<i32>().value(0), png(3));
        let format = rows(&context, &format!("SELECT format FROM images('{place}')")).await;
        assert_eq!(texts(format.column(0))[0].as_deref(), Some("image/png"));
        if !plain {
            assert_eq!(rows(&context, &format!("SELECT x FROM '{url}/public/t.parquet'")).await.num_rows(), 1);
        }
    }
    let many = error(&context, &format!("SELECT path FROM images('{url}/public/*.png')")).await;
    assert_eq!(many.kind(), ErrorKind::Unsupported);
    assert!(many.message().contains("WebDAV") && many.hint_text().unwrap().contains("one file"), "{many}");
    let signed = error(&context, &format!("SELECT path FROM images('{url}/public/x.png?sig=canary')")).await;
    assert!(!signed.to_string().contains("canary") && signed.message().contains("query"), "{signed}");
}

#[tokio::test]
async fn an_unknown_scheme_is_told_and_a_registered_store_is_used() {
    use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
    let (_, context) = server(0);
    let unknown = error(&context, "SELECT path FROM images('mine://box/**')").await;
    assert!(unknown.message().contains("no store for mine://"), "{unknown}");
    let store = InMemory::new();
    store.put(&Path::from("a/x.png"), png(1).into()).await.unwrap();
    context.register_object_store(&url::Url::parse("mine://box").unwrap(), std::sync::Arc::new(store));
    let batch = rows(&context, "SELECT path, image FROM images('mine://box/**')").await;
    assert_eq!(texts(batch.column(0))[0].as_deref(), Some("mine://box/a/x.png"));
    assert_eq!(batch.column(1).as_binary::<i32>().value(0), png(1));
}

/// `cargo test --release --test stores -- --ignored --nocapture`: memory while a list of 200,000 objects goes by.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_list_of_any_length_takes_the_same_memory() {
    let (server, context) = server(0);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    for objects in [20_000, 200_000, 1_000_000] {
        server.listed_only("huge", objects);
        let (start, before) = (Instant::now(), resident());
        let table = context.read_images("s3://huge/images/").await.unwrap().select_columns(&["path", "size"]).unwrap();
        let mut stream = table.execute_stream().await.unwrap();
        let (mut n, mut most) = (0, 0);
        while let Some(batch) = stream.next().await {
            n += batch.unwrap().num_rows();
            most = most.max(resident());
        }
        assert_eq!(n, objects);
        let requests = server.seen().len();
        println!("{objects} objects: {requests} requests, {:?}, {before} -> at most {most} MiB", start.elapsed());
    }
}
