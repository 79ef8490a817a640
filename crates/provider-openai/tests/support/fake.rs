//! A service on a real socket that checks every request strictly and misbehaves as a test's script says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{KEY, Wire, vector};

/// What the service does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// What it should.
    Serve,
    /// This status, these headers, this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// What it should, late.
    Slow(Duration),
    /// Half of the answer, and then the connection is reset.
    ResetMidBody,
    /// The last vector first; the index tells.
    Reversed,
    /// One vector too few.
    Short,
    /// The first vector twice, the last not at all.
    Doubled,
    /// This number in the first place of the vector of this image.
    Number(usize, f32),
    /// A vector of zeros for this image.
    Zeros(usize),
    /// What it should, with vectors of unit length.
    Unit,
    /// One number more in every vector.
    Wide,
    /// This text with status 200.
    Text(String),
}

impl Act {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, vec![], json!({"error": {"message": format!("this is {status}")}}).to_string())
    }

    pub(crate) fn later(header: &'static str, value: impl Into<String>) -> Self {
        Self::Status(429, vec![(header, value.into())], json!({"detail": "slow down"}).to_string())
    }
}

/// A request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// From 0, in the order of arrival.
    pub(crate) number: usize,
    pub(crate) at: Instant,
    /// The files in it.
    pub(crate) images: Vec<Vec<u8>>,
    /// Requests that were being answered at that moment, this one among them.
    pub(crate) under_way: usize,
}

/// What goes back.
enum Answer {
    Whole(String),
    /// The start of an answer whose rest never comes.
    Half(String),
}

type Script = Box<dyn Fn(&Seen) -> Act + Send + Sync>;

struct State {
    wire: Wire,
    script: Script,
    /// Fields that requests have beside the usual ones.
    also: Value,
    seen: Mutex<Vec<Seen>>,
    under_way: AtomicUsize,
    problems: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// A running service. Dropping it stops it, and fails the test if a request was not as it should be.
pub(crate) struct Fake {
    address: SocketAddr,
    state: Arc<State>,
    listening: Option<JoinHandle<()>>,
}

impl Fake {
    pub(crate) fn start(wire: Wire, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::expecting(wire, json!({}), script)
    }

    pub(crate) fn expecting(wire: Wire, also: Value, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            wire,
            script: Box::new(script),
            also,
            seen: Mutex::default(),
            under_way: AtomicUsize::new(0),
            problems: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let listening = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(SeqCst) {
                    return;
                }
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || state.connection(&stream));
            }
        });
        Self { address, state, listening: Some(listening) }
    }

    pub(crate) fn wire(&self) -> Wire {
        self.state.wire
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut seen = self.state.seen.lock().unwrap().clone();
        seen.sort_by_key(|s| s.number);
        seen
    }

    /// Images of each request so far.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.seen().iter().map(|s| s.images.len()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.state.stop.store(true, SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        self.listening.take().unwrap().join().unwrap();
        let problems = self.state.problems.lock().unwrap().clone();
        assert!(thread::panicking() || problems.is_empty(), "{problems:#?}");
    }
}

impl State {
    fn connection(&self, mut stream: &TcpStream) {
        // Ends with the client's side, or with this.
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut reader = BufReader::new(stream);
        while !self.stop.load(SeqCst) {
            let Some((head, body)) = request(&mut reader) else { return };
            let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
            let answer = self.answer(&head, &body, under_way);
            // Before the client can know the answer and send its next request.
            self.under_way.fetch_sub(1, SeqCst);
            match answer {
                Answer::Whole(text) => {
                    if stream.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
                Answer::Half(text) => return reset(stream, &text),
            }
        }
    }

    /// The answer to one request.
    fn answer(&self, head: &[String], body: &[u8], under_way: usize) -> Answer {
        if let Err(other) = Wire::model(body) {
            let message = format!("The model `{other}` does not exist.");
            return whole(404, &[], &json!({"error": {"message": message}}).to_string());
        }
        let images = self.check_head(head).and_then(|()| self.wire.read(body, &self.also));
        let images = match images {
            Ok(images) => images,
            Err(problem) => {
                self.problems.lock().unwrap().push(problem.clone());
                return whole(418, &[], &problem);
            }
        };
        let seen = {
            let mut all = self.seen.lock().unwrap();
            let seen = Seen { number: all.len(), at: Instant::now(), images, under_way };
            all.push(seen.clone());
            seen
        };
        let mut vectors: Vec<(usize, Vec<f32>)> = seen.images.iter().map(|image| vector(image)).enumerate().collect();
        match (self.script)(&seen) {
            Act::Serve => {}
            Act::Slow(time) => thread::sleep(time),
            Act::Status(status, headers, body) => return whole(status, &headers, &body),
            Act::Text(text) => return whole(200, &[], &text),
            Act::ResetMidBody => {
                let body = self.wire.answer(&vectors).to_string();
                return Answer::Half(head_of(200, &[], body.len()) + &body[..body.len() / 2]);
            }
            Act::Reversed => vectors.reverse(),
            Act::Short => drop(vectors.pop()),
            Act::Doubled => {
                let first = vectors[0].clone();
                *vectors.last_mut().unwrap() = first;
            }
            Act::Number(row, number) => vectors[row].1[0] = number,
            Act::Zeros(row) => vectors[row].1.fill(0.0),
            Act::Unit => vectors.iter_mut().for_each(|(_, vector)| {
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                for x in vector {
                    *x /= length;
                }
            }),
            Act::Wide => vectors.iter_mut().for_each(|(_, vector)| vector.push(1.0)),
        }
        whole(200, &[], &self.wire.answer(&vectors).to_string())
    }

    fn check_head(&self, head: &[String]) -> Result<(), String> {
        let first = format!("POST {} HTTP/1.1", self.wire.path);
        let header = |name: &str| {
            head[1..].iter().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
        };
        let is = |name: &str, value: &str| header(name).is_some_and(|(_, v)| v == value);
        if head[0] != first {
            return Err(format!("{} where {first} was expected", head[0]));
        }
        if !is("content-type", "application/json") || !is("authorization", &format!("Bearer {KEY}")) {
            return Err(format!("wrong headers: {head:?}"));
        }
        Ok(())
    }
}

/// The lines of a request's head, and its body; `None` where the client has gone.
fn request(reader: &mut impl BufRead) -> Option<(Vec<String>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length =
        head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn head_of(status: u16, headers: &[(&'static str, String)], length: usize) -> String {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head + "\r\n"
}

fn whole(status: u16, headers: &[(&'static str, String)], body: &str) -> Answer {
    Answer::Whole(head_of(status, headers, body.len()) + body)
}

/// Sends `text` and a reset in place of the rest. The reset goes out when the caller drops the socket.
fn reset(mut stream: &TcpStream, text: &str) {
    // The client may be gone already.
    let _ = stream.write_all(text.as_bytes());
    // What was written before a reset may be lost with it, so it gets a moment to arrive.
    thread::sleep(Duration::from_millis(5));
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}
