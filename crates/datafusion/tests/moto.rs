//! Images and tables in the buckets of moto, a server for S3's protocol that nobody here wrote.
//!
//! Needs Python with `moto[server]`, named by `IMBED_MOTO_PYTHON`; without it the test says so and does nothing.

mod support;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arrow_array::{cast::AsArray, types::Int64Type};
use imbed_core::{Registry, Session};
use imbed_datafusion::{Imbed, Stores, with_file_tables};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path};
use support::{error, examples, png, rows, texts, vectors};

/// Loading Python's packages takes its time on a busy machine.
const START: Duration = Duration::from_mins(2);

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(python: &std::ffi::OsStr) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let child = Command::new(python)
            .args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("IMBED_MOTO_PYTHON cannot be started");
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let start = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "moto ended at once: pip install 'moto[server]'");
            assert!(start.elapsed() < START, "moto did not start in {START:?}");
            thread::sleep(Duration::from_millis(200));
        }
        server
    }

    fn variables(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "secret-canary"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// A bucket, made by a request that `object_store` does not know.
    fn bucket(&self, name: &str) -> Arc<dyn ObjectStore> {
        let address = self.url.strip_prefix("http://").unwrap();
        let authorization =
            "AWS4-HMAC-SHA256 Credential=testing/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "PUT /{name}/ HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
        let builder = AmazonS3Builder::new().with_endpoint(&self.url).with_allow_http(true).with_bucket_name(name);
        Arc::new(builder.with_access_key_id("testing").with_secret_access_key("testing").build().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn buckets_of_a_server_that_nobody_here_wrote() {
    let Some(python) = std::env::var_os("IMBED_MOTO_PYTHON") else {
        eprintln!("skipped: IMBED_MOTO_PYTHON names no Python with moto");
        return;
    };
    let server = Server::start(&python);
    let bucket = server.bucket("photos");
    let folder = examples();
    let folder = folder.trim_matches('\'');
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let key = format!("examples/{}", path.file_name().unwrap().to_str().unwrap());
        bucket.put(&Path::parse(key).unwrap(), std::fs::read(&path).unwrap().into()).await.unwrap();
    }
    for i in 0..1200 {
        bucket.put(&Path::parse(format!("many/{i:04}.png")).unwrap(), png(i % 7).into()).await.unwrap();
    }
    bucket.put(&Path::parse("odd/a b&ü%20+.png").unwrap(), png(1).into()).await.unwrap();
    let imbed = Imbed::new(Session::new(Registry::linked())).with_stores(Stores::new(server.variables()));
    let context = with_file_tables(imbed.context());

    // More than a page of a thousand.
    let batch = rows(&context, "SELECT path, size, format FROM images('s3://photos/many/*.png') ORDER BY path").await;
    assert_eq!(batch.num_rows(), 1200);
    assert_eq!(texts(batch.column(0))[1199].as_deref(), Some("s3://photos/many/1199.png"));
    assert!(texts(batch.column(2)).iter().all(|format| format.as_deref() == Some("image/png")));
    let half = "SELECT image FROM images('s3://photos/many/') WHERE path LIKE '%/000_.png' LIMIT 6";
    assert_eq!(rows(&context, half).await.column(0).as_binary::<i32>().value(5), png(5));
    let part = rows(&context, "SELECT path FROM images('s3://photos/many/11*')").await;
    assert_eq!(part.num_rows(), 100);
    let odd = rows(&context, "SELECT path, image FROM images('s3://photos/odd/**')").await;
    assert_eq!(texts(odd.column(0))[0].as_deref(), Some("s3://photos/odd/a b&ü%20+.png"));
    assert_eq!(odd.column(1).as_binary::<i32>().value(0), png(1));

    // Vectors as those of local files, written to the bucket and read back.
    let embed = |place: &str| format!("SELECT path, embed_image(image) AS e FROM images('{place}') ORDER BY path");
    let local = rows(&context, &embed(folder)).await;
    let copy = format!("COPY ({}) TO 's3://photos/e.parquet'", embed("s3://photos/examples/**"));
    rows(&context, &copy).await;
    let back = rows(&context, "SELECT e FROM 's3://photos/e.parquet' ORDER BY path").await;
    assert_eq!(vectors(local.column(1)), vectors(back.column(0)));

    // A table large enough to go up in parts.
    let large = "COPY (SELECT value AS x, random() AS r FROM range(3000000)) TO 's3://photos/large.parquet'";
    rows(&context, large).await;
    let sum = rows(&context, "SELECT sum(x), count(*) FROM 's3://photos/large*.parquet'").await;
    assert_eq!(sum.column(1).as_primitive::<Int64Type>().value(0), 3_000_000);
    assert_eq!(sum.column(0).as_primitive::<Int64Type>().value(0), 4_499_998_500_000);

    let nowhere = error(&context, "SELECT path FROM images('s3://nowhere-at-all/**')").await;
    assert!(nowhere.message().contains("no such bucket"), "{nowhere}");
    let nothing = error(&context, "SELECT path FROM images('s3://photos/none.png')").await;
    assert!(nothing.message().contains("there is no image here"), "{nothing}");
}
