//! A web server on this machine with images, which notes what it is asked for.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    delay: Duration,
    asked: Mutex<Vec<String>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The server. Its threads end with the test's process.
pub(crate) struct Web {
    address: SocketAddr,
    state: Arc<State>,
}

impl Web {
    /// Serves `files` by their paths, each answer after `delay`.
    pub(crate) fn start(files: Vec<(String, Vec<u8>)>, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { files: files.into_iter().collect(), delay, ..State::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that has heard enough hangs up.
                thread::spawn(move || drop(state.speak(stream)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How many were answered at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.most.load(SeqCst)
    }
}

impl State {
    fn speak(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        while let Some(Ok(line)) = lines.next() {
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
            self.asked.lock().unwrap().push(target.clone());
            self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::sleep(self.delay);
            self.now.fetch_sub(1, SeqCst);
            let path = target.split('?').next().unwrap_or_default();
            match self.files.get(path) {
                Some(body) => {
                    write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
                    out.write_all(body)?;
                }
                None => write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
            }
        }
        Ok(())
    }
}
