//! A proxy on loopback before a server of HTTP, which does to requests what a network and a service in trouble do.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is handed on, and so is its answer.
    None,
    /// The connection ends before the server hears it.
    Lost,
    /// The server does what it says, and the connection ends without an answer.
    Unheard,
    /// The connection ends in the middle of the answer.
    Cut,
    /// It is answered so, and not handed on.
    Status(&'static str),
    /// It is handed on after so long.
    Slow(Duration),
    /// It is read at so many bytes a second.
    Narrow(usize),
    /// From here on nobody listens any more.
    Dead,
}

type Plan = dyn Fn(usize) -> Fault + Send + Sync;

struct State {
    address: SocketAddr,
    upstream: String,
    plan: Box<Plan>,
    asked: AtomicUsize,
    dead: AtomicBool,
    /// Those that end with it.
    open: Mutex<Vec<TcpStream>>,
}

/// The proxy. Its threads end with the test's process.
pub(crate) struct Faulty(Arc<State>);

impl Faulty {
    /// A proxy before `upstream`, such as `http://127.0.0.1:9000`. `plan` says what becomes of each request by its number, from 0.
    pub(crate) fn start(upstream: &str, plan: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            address: listener.local_addr().unwrap(),
            upstream: upstream.strip_prefix("http://").unwrap().to_owned(),
            plan: Box::new(plan),
            asked: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.dead.load(SeqCst) {
                    break;
                }
                shared.open.lock().unwrap().push(stream.try_clone().unwrap());
                let state = Arc::clone(&shared);
                // A connection that ends is what this is about.
                thread::spawn(move || {
                    drop(state.speak(&stream));
                    drop(stream.shutdown(Shutdown::Both));
                });
            }
        });
        Self(state)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(SeqCst)
    }
}

impl State {
    fn speak(&self, client: &TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.upstream)?;
        let (mut requests, mut answers) = (BufReader::new(client.try_clone()?), BufReader::new(server.try_clone()?));
        let (mut client, mut server) = (client, &server);
        while let Some(head) = head(&mut requests)? {
            let fault = (self.plan)(self.asked.fetch_add(1, SeqCst));
            let request = body(head, &mut requests, if let Fault::Narrow(rate) = fault { Some(rate) } else { None })?;
            match fault {
                Fault::Lost => return Ok(()),
                Fault::Dead => {
                    self.die();
                    return Ok(());
                }
                Fault::Status(status) => {
                    write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
                    continue;
                }
                Fault::Slow(delay) => {
                    thread::sleep(delay);
                    // Who has given up has asked again meanwhile, perhaps for something else by now.
                    if has_gone(client)? {
                        return Ok(());
                    }
                }
                Fault::None | Fault::Unheard | Fault::Cut | Fault::Narrow(_) => {}
            }
            let asks_for_head_only = request.starts_with(b"HEAD");
            server.write_all(&request)?;
            let Some(head) = self::head(&mut answers)? else { return Ok(()) };
            let start = head.len();
            let answer = if asks_for_head_only { head } else { body(head, &mut answers, None)? };
            match fault {
                Fault::Unheard => return Ok(()),
                // In the middle of the body, or of the head where there is none.
                Fault::Cut if answer.len() > start => {
                    return client.write_all(&answer[..start + (answer.len() - start) / 2]);
                }
                Fault::Cut => return client.write_all(&answer[..start / 2]),
                _ => client.write_all(&answer)?,
            }
        }
        Ok(())
    }

    fn die(&self) {
        self.dead.store(true, SeqCst);
        // So that the listener notices, and goes.
        drop(TcpStream::connect(self.address));
        for stream in self.open.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// Whether the other side has closed the connection.
fn has_gone(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let gone = matches!(stream.peek(&mut [0]), Ok(0));
    stream.set_nonblocking(false)?;
    Ok(gone)
}

/// All up to the empty line; `None` where nothing more comes.
fn head(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
        if head[before..] == *b"\r\n" {
            return Ok(Some(head));
        }
    }
}

/// `head` and the body that it announces, read at `rate` bytes a second.
fn body(mut head: Vec<u8>, reader: &mut impl Read, rate: Option<usize>) -> io::Result<Vec<u8>> {
    const STEP: Duration = Duration::from_millis(20);
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let mut left = length.unwrap_or(0);
    while left > 0 {
        let now = rate.map_or(left, |rate| (rate / (1000 / STEP.as_millis() as usize)).clamp(1, left));
        let start = head.len();
        head.resize(start + now, 0);
        reader.read_exact(&mut head[start..])?;
        left -= now;
        if rate.is_some() {
            thread::sleep(STEP);
        }
    }
    Ok(head)
}
