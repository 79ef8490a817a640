//! A small hub on this machine that speaks the real one's routes, and misbehaves where a test asks it to.
//!
//! Files of weights (`*.safetensors`, `*.bin`, `*.onnx`, `*.onnx_data`) are large ones: they have a SHA-256 and are
//! redirected to another origin (a second port, as the real hub has servers of content). The others are git blobs, behind a
//! relative redirect.

// Each test crate uses a part of this.
#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use serde_json::json;

/// The hub. Dropping it ends it.
pub(crate) struct Server {
    state: Arc<State>,
}

struct State {
    hub: SocketAddr,
    content: SocketAddr,
    stopped: AtomicBool,
    models: Mutex<BTreeMap<String, Model>>,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<Seen>>,
}

#[derive(Clone, Default)]
struct Model {
    /// By commit; the last is the branch `main`.
    commits: Vec<(String, BTreeMap<String, Vec<u8>>)>,
    /// Whose files only this token gets.
    gate: Option<String>,
    /// As some mirrors do it: the list has neither sizes nor checksums.
    bare_list: bool,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
    /// It came to the server of content, not to the hub.
    pub(crate) content: bool,
}

/// What goes wrong, at requests whose path contains a text.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) path: &'static str,
    /// At the server of content only.
    pub(crate) content: bool,
    /// How often; then all is well.
    pub(crate) times: usize,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The connection ends after so many bytes of content.
    Cut(usize),
    /// This status and these headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// The first byte of the content is another.
    WrongByte,
    /// A request for a part is answered with the whole.
    IgnoreRange,
    /// The answer takes so long.
    Slow(Duration),
}

impl Server {
    pub(crate) fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, content) = (listen(), listen());
        let state = Arc::new(State {
            hub: hub.local_addr().unwrap(),
            content: content.local_addr().unwrap(),
            stopped: AtomicBool::new(false),
            models: Mutex::default(),
            faults: Mutex::default(),
            seen: Mutex::default(),
        });
        for (listener, is_content) in [(hub, false), (content, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if state.stopped.load(Ordering::Acquire) {
                        return;
                    }
                    let state = Arc::clone(&state);
                    // A client that goes away is none of the server's business.
                    thread::spawn(move || state.serve(stream.unwrap(), is_content));
                }
            });
        }
        Self { state }
    }

    /// The address for `HF_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.state.hub)
    }

    /// Publishes `files` as the newest commit of `name`, and gives that commit.
    pub(crate) fn publish(&self, name: &str, files: &[(&str, &[u8])]) -> String {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(n, bytes)| ((*n).to_owned(), bytes.to_vec())).collect();
        let mut models = self.state.models.lock().unwrap();
        let model = models.entry(name.to_owned()).or_default();
        let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        context.update(format!("{name} {} {:?}", model.commits.len(), files).as_bytes());
        let commit = hex(context);
        model.commits.push((commit.clone(), files));
        commit
    }

    /// From here on, only `token` gets the files of `name`.
    pub(crate) fn gate(&self, name: &str, token: &str) {
        self.state.models.lock().unwrap().get_mut(name).unwrap().gate = Some(token.to_owned());
    }

    /// From here on, the list of files of `name` has names alone.
    pub(crate) fn list_names_only(&self, name: &str) {
        self.state.models.lock().unwrap().get_mut(name).unwrap().bare_list = true;
    }

    pub(crate) fn fault(&self, path: &'static str, content: bool, times: usize, what: What) {
        self.state.faults.lock().unwrap().push(Fault { path, content, times, what });
    }

    /// The requests so far, and forgets them.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
        for address in [self.state.hub, self.state.content] {
            // Wakes the loop that accepts.
            let _ = TcpStream::connect(address);
        }
    }
}

/// An answer before it is sent.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn refusal(status: u16, code: &str, message: &str) -> Self {
        let answer = Self::new(status, json!({ "error": message }).to_string()).with("X-Error-Message", message);
        if code.is_empty() { answer } else { answer.with("X-Error-Code", code) }
    }
}

impl State {
    fn serve(&self, stream: TcpStream, content: bool) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let token = headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let range = headers.get("range").cloned();
        self.seen.lock().unwrap().push(Seen {
            method: method.clone(),
            path: path.clone(),
            range: range.clone(),
            token: token.clone(),
            content,
        });
        let fault = self.fault(&path, content);
        let mut answer = match &fault {
            Some(What::Status(status, headers)) => {
                let plain = Answer::new(*status, "fault");
                headers.iter().fold(plain, |answer, (name, value)| answer.with(name, *value))
            }
            _ if content => self.content(&path),
            _ => self.answer(&path, token.as_deref()),
        };
        if let (Some(What::WrongByte), Some(first)) = (&fault, answer.body.first_mut()) {
            *first ^= 1;
        }
        if let Some(What::Slow(time)) = fault {
            thread::sleep(time);
        }
        let from = range.as_deref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        if let (Some(from), 200, false) = (from, answer.status, matches!(fault, Some(What::IgnoreRange))) {
            let all = answer.body.len();
            if from < all {
                answer = Answer { status: 206, body: answer.body.split_off(from), ..answer }
                    .with("Content-Range", format!("bytes {from}-{}/{all}", all - 1));
            } else {
                answer = Answer::new(416, "").with("Content-Range", format!("bytes */{all}"));
            }
        }
        let length = answer.body.len();
        if let Some(What::Cut(after)) = fault {
            answer.body.truncate(after);
        }
        if method == "HEAD" {
            answer.body.clear();
        }
        let _ = send(stream, &answer, length);
    }

    fn fault(&self, path: &str, content: bool) -> Option<What> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|f| f.times > 0 && f.content == content && path.contains(f.path))?;
        fault.times -= 1;
        Some(fault.what.clone())
    }

    /// What the server of content says: `/MODEL/COMMIT/FILE`, signed.
    fn content(&self, path: &str) -> Answer {
        let Some(path) = path.strip_suffix("?signature=1") else { return Answer::new(403, "no signature") };
        let parts: Vec<&str> = path.trim_start_matches('/').splitn(4, '/').collect();
        let [org, name, commit, file] = parts[..] else { return Answer::new(404, "") };
        let models = self.models.lock().unwrap();
        match models.get(&format!("{org}/{name}")).and_then(|model| model.files(commit)?.1.get(file)) {
            // An `ETag` of its own, which says nothing about the content.
            Some(bytes) => Answer::new(200, bytes.clone()).with("ETag", "\"0123-content-server\""),
            None => Answer::new(404, ""),
        }
    }

    /// What the hub says.
    fn answer(&self, path: &str, token: Option<&str>) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let models = self.models.lock().unwrap();
        if path == "/api/models" {
            return search(&models, query);
        }
        let (path, kind) =
            match path.strip_prefix("/api/models/").or_else(|| path.strip_prefix("/api/resolve-cache/models/")) {
                Some(rest) => (rest, if path.starts_with("/api/models/") { "list" } else { "cache" }),
                None => (path.trim_start_matches('/'), "resolve"),
            };
        let parts: Vec<&str> = path.split('/').collect();
        let [org, name, rest @ ..] = &parts[..] else { return Answer::refusal(404, "", "Not found") };
        let name = format!("{org}/{name}");
        let Some(model) = models.get(&name) else {
            // Strangers are not told whether there is such a model in private.
            return match token {
                Some(_) => Answer::refusal(404, "RepoNotFound", "Repository not found"),
                None => Answer::refusal(401, "RepoNotFound", "Invalid username or password."),
            };
        };
        match (kind, rest) {
            ("list", ["refs"]) => Answer::new(
                200,
                json!({ "branches": [{ "name": "main", "ref": "refs/heads/main" }], "tags": [{ "name": "v1" }] })
                    .to_string(),
            ),
            ("list", []) => list(model, &name, "main", query),
            ("list", ["revision", revision]) => list(model, &name, &revision.replace("%2F", "/"), query),
            ("resolve", ["resolve", revision, file @ ..]) => {
                self.resolve(model, &name, &revision.replace("%2F", "/"), &file.join("/"), token)
            }
            ("cache", [commit, file @ ..]) => match model.files(commit).and_then(|(_, f)| f.get(&file.join("/"))) {
                Some(bytes) => Answer::new(200, bytes.clone())
                    .with("ETag", format!("\"{}\"", git_blob(bytes)))
                    .with("X-Repo-Commit", commit),
                None => Answer::refusal(404, "EntryNotFound", "Entry not found"),
            },
            _ => Answer::refusal(404, "", "Not found"),
        }
    }

    fn resolve(&self, model: &Model, name: &str, revision: &str, file: &str, token: Option<&str>) -> Answer {
        if let Some(gate) = &model.gate
            && token != Some(gate)
        {
            let status = if token.is_some() { 403 } else { 401 };
            return Answer::refusal(status, "GatedRepo", "Access to this model is restricted.");
        }
        let Some((commit, files)) = model.files(revision) else {
            return Answer::refusal(404, "RevisionNotFound", "Invalid rev id");
        };
        let Some(bytes) = files.get(file) else {
            return Answer::refusal(404, "EntryNotFound", "Entry not found").with("X-Repo-Commit", commit);
        };
        if is_large(file) {
            Answer::new(302, "Found. Redirecting")
                .with("Location", format!("http://{}/{name}/{commit}/{file}?signature=1", self.content))
                .with("X-Repo-Commit", commit)
                .with("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
                .with("X-Linked-Size", bytes.len())
        } else {
            Answer::new(307, "Temporary Redirect")
                .with("Location", format!("/api/resolve-cache/models/{name}/{commit}/{file}"))
                .with("X-Repo-Commit", commit)
        }
    }
}

impl Model {
    /// The commit and files of a branch, a tag or a commit.
    fn files(&self, revision: &str) -> Option<&(String, BTreeMap<String, Vec<u8>>)> {
        match revision {
            "main" => self.commits.last(),
            "v1" | "refs/pr/1" => self.commits.first(),
            commit => self.commits.iter().find(|(c, _)| c == commit),
        }
    }
}

fn list(model: &Model, name: &str, revision: &str, query: &str) -> Answer {
    let Some((commit, files)) = model.files(revision) else {
        return Answer::refusal(404, "RevisionNotFound", "Invalid rev id");
    };
    let with_blobs = query.contains("blobs=true") && !model.bare_list;
    let siblings: Vec<_> = files
        .iter()
        .map(|(file, bytes)| match (with_blobs, is_large(file)) {
            (false, _) => json!({ "rfilename": file }),
            (true, false) => json!({ "rfilename": file, "size": bytes.len(), "blobId": git_blob(bytes) }),
            (true, true) => json!({
                "rfilename": file,
                "size": bytes.len(),
                // Of the pointer, not of the content.
                "blobId": git_blob(b"pointer"),
                "lfs": { "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 135 },
            }),
        })
        .collect();
    let gated = if model.gate.is_some() { json!("manual") } else { json!(false) };
    Answer::new(200, json!({ "id": name, "sha": commit, "gated": gated, "siblings": siblings }).to_string())
}

fn search(models: &BTreeMap<String, Model>, query: &str) -> Answer {
    let parameter = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let (search, author) = (parameter("search"), parameter("author"));
    let found = models.keys().filter(|name| {
        search.is_none_or(|text| name.contains(text)) && author.is_none_or(|org| name.starts_with(&format!("{org}/")))
    });
    Answer::new(200, json!(found.map(|name| json!({ "id": name })).collect::<Vec<_>>()).to_string())
}

fn send(mut stream: TcpStream, answer: &Answer, length: usize) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\nContent-Length: {length}\r\n", answer.status);
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(&answer.body)
}

fn is_large(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "safetensors" | "bin" | "onnx" | "onnx_data")))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    hex(context)
}

pub(crate) fn git_blob(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex(context)
}

fn hex(context: Context) -> String {
    context.finish().as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
