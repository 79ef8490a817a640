//! A server on loopback that speaks the part of S3's protocol that is used here, and counts what it is asked.
//!
//! It knows: lists with prefix, start and pages; whole objects and ranges; uploads in one and in parts; deletion, also by list. Whoever sends a
//! request must name the server's key; signatures are not verified. Buckets whose names begin with `public` are open, and
//! can be read as files of a plain web server.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// The name of the key that the server knows.
pub(crate) const KEY: &str = "key-of-the-test";

const MODIFIED: &str = "Thu, 26 Nov 2020 08:00:00 GMT";
/// When objects that came by a request say that they were made: no clock is so far ahead that one would seem to be older.
const UPLOADED: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
const MODIFIED_ISO: &str = "2020-11-26T08:00:00.000Z";

/// A server that runs until the process ends.
#[derive(Clone)]
pub(crate) struct Server {
    address: String,
    state: Arc<State>,
}

struct State {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    uploads: Mutex<BTreeMap<String, BTreeMap<usize, Vec<u8>>>>,
    requests: Mutex<Vec<Seen>>,
    /// Uploads so far.
    begun: AtomicUsize,
    page: AtomicUsize,
    /// Answers 503 so many times.
    busy: AtomicUsize,
    /// Whether it answers to `HEAD`, and to ranges.
    heads: AtomicBool,
    ranges: AtomicBool,
}

enum Bucket {
    Objects(BTreeMap<String, Object>),
    /// So many objects that are listed, and are not there.
    Listed(usize),
}

#[derive(Clone)]
struct Object {
    bytes: Vec<u8>,
    /// What the list says, if not the truth.
    listed_size: Option<u64>,
    access: Access,
    modified: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    Open,
    Denied,
    Gone,
}

/// A request that was made.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) bucket: String,
    /// Empty for a list.
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) range: Option<String>,
}

impl Seen {
    /// Whether it reads an object, whole or in part.
    pub(crate) fn is_get(&self) -> bool {
        self.method == "GET" && !self.key.is_empty()
    }

    pub(crate) fn is_list(&self) -> bool {
        self.method == "GET" && self.key.is_empty()
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            buckets: Mutex::default(),
            uploads: Mutex::default(),
            requests: Mutex::default(),
            begun: AtomicUsize::new(0),
            page: AtomicUsize::new(1000),
            busy: AtomicUsize::new(0),
            heads: AtomicBool::new(true),
            ranges: AtomicBool::new(true),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Whoever goes in the middle of a request is none of the server's business.
                thread::spawn(move || drop(state.serve(&stream)));
            }
        });
        Self { address, state }
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    /// The variables with which it is reached.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", "secret-canary"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    pub(crate) fn bucket(&self, name: &str) {
        lock(&self.state.buckets).entry(name.to_owned()).or_insert_with(|| Bucket::Objects(BTreeMap::new()));
    }

    /// A bucket that lists `images/000000000.jpg` and on, and holds none of them.
    pub(crate) fn listed_only(&self, name: &str, objects: usize) {
        lock(&self.state.buckets).insert(name.to_owned(), Bucket::Listed(objects));
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        self.bucket(bucket);
        let object = Object { bytes: bytes.into(), listed_size: None, access: Access::Open, modified: MODIFIED };
        if let Some(Bucket::Objects(objects)) = lock(&self.state.buckets).get_mut(bucket) {
            objects.insert(key.to_owned(), object);
        }
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        match lock(&self.state.buckets).get(bucket)? {
            Bucket::Objects(objects) => objects.get(key).map(|object| object.bytes.clone()),
            Bucket::Listed(_) => None,
        }
    }

    /// The keys of a bucket's objects, sorted.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        match lock(&self.state.buckets).get(bucket) {
            Some(Bucket::Objects(objects)) => objects.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Lists the object as it was, and answers that it is not there.
    pub(crate) fn vanish(&self, bucket: &str, key: &str) {
        self.change(bucket, key, |object| object.access = Access::Gone);
    }

    pub(crate) fn deny(&self, bucket: &str, key: &str) {
        self.change(bucket, key, |object| object.access = Access::Denied);
    }

    pub(crate) fn list_as(&self, bucket: &str, key: &str, size: u64) {
        self.change(bucket, key, |object| object.listed_size = Some(size));
    }

    fn change(&self, bucket: &str, key: &str, change: impl FnOnce(&mut Object)) {
        if let Some(Bucket::Objects(objects)) = lock(&self.state.buckets).get_mut(bucket) {
            change(objects.get_mut(key).unwrap());
        }
    }

    /// Objects of one page of a list.
    pub(crate) fn page(&self, objects: usize) {
        self.state.page.store(objects, SeqCst);
    }

    /// Answers the next requests by asking to slow down.
    pub(crate) fn busy(&self, requests: usize) {
        self.state.busy.store(requests, SeqCst);
    }

    /// Answers neither to `HEAD` nor to ranges, as some web servers do.
    pub(crate) fn plain(&self) {
        self.state.heads.store(false, SeqCst);
        self.state.ranges.store(false, SeqCst);
    }

    /// Uploads that were begun and neither completed nor taken back.
    pub(crate) fn unfinished(&self) -> usize {
        lock(&self.state.uploads).len()
    }

    /// What was asked since the last time.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.state.requests))
    }
}

struct Request {
    seen: Seen,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Response {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// Deletes the objects that a list of keys names.
fn delete(bucket: &mut Bucket, list: &[u8]) -> Response {
    let list = String::from_utf8_lossy(list);
    let mut deleted = Vec::new();
    if let Bucket::Objects(objects) = bucket {
        for key in list.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
            objects.remove(key);
            deleted.push(format!("<Deleted><Key>{key}</Key></Deleted>"));
        }
    }
    let body = format!("<DeleteResult>{}</DeleteResult>", deleted.concat());
    Response { status: "200 OK", headers: vec![], body: body.into() }
}

impl State {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = read(&mut reader)? {
            lock(&self.requests).push(request.seen.clone());
            write(stream, &request, self.answer(&request))?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Response {
        let Seen { method, bucket, key, query, .. } = &request.seen;
        if self.busy.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() {
            return error("503 Slow Down", "SlowDown", "Please reduce your request rate.");
        }
        let public = bucket.starts_with("public");
        match request.headers.get("authorization") {
            None if !public => return error("403 Forbidden", "AccessDenied", "Access Denied"),
            Some(value) if !value.contains(&format!("Credential={KEY}/")) => {
                let id = "The AWS Access Key Id you provided does not exist in our records.";
                return error("403 Forbidden", "InvalidAccessKeyId", id);
            }
            _ => {}
        }
        if (method == "HEAD" && !self.heads.load(SeqCst)) || method == "PROPFIND" {
            return error("405 Method Not Allowed", "MethodNotAllowed", "The specified method is not allowed.");
        }
        let mut buckets = lock(&self.buckets);
        let Some(found) = buckets.get_mut(bucket) else {
            return error("404 Not Found", "NoSuchBucket", "The specified bucket does not exist");
        };
        if key.is_empty() && method == "POST" {
            return delete(found, &request.body);
        }
        if key.is_empty() {
            return self.list(found, query);
        }
        let Bucket::Objects(objects) = found else {
            return error("404 Not Found", "NoSuchKey", "The specified key does not exist.");
        };
        match (method.as_str(), query.get("uploadId")) {
            ("POST", None) if query.contains_key("uploads") => self.begin(),
            ("PUT", Some(upload)) => self.part(upload, &query["partNumber"], &request.body),
            ("POST", Some(upload)) => {
                let Some(parts) = lock(&self.uploads).remove(upload) else {
                    return error("404 Not Found", "NoSuchUpload", "The specified upload does not exist.");
                };
                store(objects, key, parts.into_values().flatten().collect());
                let xml = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
                Response { status: "200 OK", headers: vec![], body: xml.into() }
            }
            ("DELETE", Some(upload)) => {
                lock(&self.uploads).remove(upload);
                Response { status: "204 No Content", headers: vec![], body: vec![] }
            }
            ("PUT", None) => {
                store(objects, key, request.body.clone());
                Response { status: "200 OK", headers: vec![("ETag", "\"e\"".to_owned())], body: vec![] }
            }
            ("DELETE", None) => {
                objects.remove(key);
                Response { status: "204 No Content", headers: vec![], body: vec![] }
            }
            ("GET" | "HEAD", None) => match objects.get(key) {
                Some(object) if object.access == Access::Open => self.content(object, request),
                Some(object) if object.access == Access::Denied => {
                    error("403 Forbidden", "AccessDenied", "Access Denied")
                }
                _ => error("404 Not Found", "NoSuchKey", "The specified key does not exist."),
            },
            _ => error("400 Bad Request", "InvalidRequest", "This server does not know that."),
        }
    }

    fn list(&self, bucket: &Bucket, query: &BTreeMap<String, String>) -> Response {
        let value = |name: &str| query.get(name).map_or("", String::as_str);
        let prefix = value("prefix");
        let after = value("start-after").max(value("continuation-token"));
        let page = self.page.load(SeqCst);
        let listed: Vec<(String, u64)> = match bucket {
            Bucket::Objects(objects) => objects
                .range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
                .filter(|(key, _)| key.starts_with(prefix))
                .take(page + 1)
                .map(|(key, object)| (key.clone(), object.listed_size.unwrap_or(object.bytes.len() as u64)))
                .collect(),
            Bucket::Listed(n) => {
                let digits: String = after.chars().filter(char::is_ascii_digit).collect();
                let first = digits.parse::<usize>().map_or(0, |last| last + 1);
                (first..*n).take(page + 1).map(|i| (format!("images/{i:09}.jpg"), i as u64)).collect()
            }
        };
        let mut xml = "<ListBucketResult>".to_owned();
        for (key, size) in listed.iter().take(page) {
            let key = key.replace('&', "&amp;").replace('<', "&lt;");
            write!(
                xml,
                "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{MODIFIED_ISO}</LastModified><ETag>\"e\"</ETag></Contents>"
            )
            .unwrap();
        }
        if listed.len() > page {
            let last = listed[page - 1].0.replace('&', "&amp;").replace('<', "&lt;");
            write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
        }
        xml.push_str("</ListBucketResult>");
        Response { status: "200 OK", headers: vec![], body: xml.into() }
    }

    fn begin(&self) -> Response {
        let mut uploads = lock(&self.uploads);
        let id = format!("upload-{}", self.begun.fetch_add(1, SeqCst));
        uploads.insert(id.clone(), BTreeMap::new());
        let xml = format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
        Response { status: "200 OK", headers: vec![], body: xml.into() }
    }

    fn part(&self, upload: &str, number: &str, bytes: &[u8]) -> Response {
        match lock(&self.uploads).get_mut(upload) {
            Some(parts) => {
                parts.insert(number.parse().unwrap(), bytes.to_vec());
                Response { status: "200 OK", headers: vec![("ETag", "\"e\"".to_owned())], body: vec![] }
            }
            None => error("404 Not Found", "NoSuchUpload", "The specified upload does not exist."),
        }
    }

    fn content(&self, Object { bytes, modified, .. }: &Object, request: &Request) -> Response {
        let mut headers = vec![("ETag", "\"e\"".to_owned()), ("Last-Modified", (*modified).to_owned())];
        let range = request.seen.range.as_deref().filter(|_| self.ranges.load(SeqCst));
        let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
            return Response { status: "200 OK", headers, body: bytes.clone() };
        };
        let (first, last) = range.split_once('-').unwrap();
        let length = bytes.len();
        let (first, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first, (last + 1).min(length)),
            (Ok(first), Err(_)) => (first, length),
            (Err(_), Ok(suffix)) => (length.saturating_sub(suffix), length),
            _ => (length, 0),
        };
        if first >= end {
            return error("416 Range Not Satisfiable", "InvalidRange", "The requested range is not satisfiable");
        }
        headers.push(("Content-Range", format!("bytes {first}-{}/{length}", end - 1)));
        Response { status: "206 Partial Content", headers, body: bytes[first..end].to_vec() }
    }
}

fn store(objects: &mut BTreeMap<String, Object>, key: &str, bytes: Vec<u8>) {
    objects.insert(key.to_owned(), Object { bytes, listed_size: None, access: Access::Open, modified: UPLOADED });
}

/// An answer as S3 gives it, with what must not be repeated in it.
fn error(status: &'static str, code: &str, message: &str) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message><AWSAccessKeyId>{KEY}\
         </AWSAccessKeyId><StringToSign>answer-canary</StringToSign></Error>"
    );
    Response { status, headers: vec![("Content-Type", "application/xml".to_owned())], body: xml.into() }
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(&value.replace('+', " ")))
    });
    let seen = Seen {
        method,
        bucket: decode(bucket),
        key: decode(key),
        query: query.collect(),
        range: headers.get("range").cloned(),
    };
    Ok(Some(Request { seen, headers, body }))
}

fn write(mut stream: &TcpStream, request: &Request, response: Response) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", response.status, response.body.len());
    for (name, value) in response.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if request.seen.method != "HEAD" {
        bytes.extend(response.body);
    }
    stream.write_all(&bytes)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' && rest.len() >= 2 {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
