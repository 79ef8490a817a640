//! A server on this machine that answers as a test says.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A request, as far as tests look at it.
pub(super) struct Request {
    pub(super) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What is sent back.
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    claims: Option<usize>,
}

enum Body {
    Whole(Vec<u8>),
    /// Without end, as fast as it is taken.
    Endless,
    /// A byte now and then.
    Dripping,
    /// No answer at all.
    Silent,
}

impl Answer {
    fn new(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body, claims: None }
    }

    pub(super) fn ok(body: &[u8]) -> Self {
        Self::new(200, Body::Whole(body.to_vec()))
    }

    pub(super) fn status(status: u16) -> Self {
        Self::new(status, Body::Whole(Vec::new()))
    }

    pub(super) fn redirect(location: &str) -> Self {
        Self::status(302).with("Location", location)
    }

    pub(super) fn endless() -> Self {
        Self::new(200, Body::Endless)
    }

    pub(super) fn dripping() -> Self {
        Self::new(200, Body::Dripping)
    }

    pub(super) fn silent() -> Self {
        Self::new(200, Body::Silent)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Says that so many bytes follow, whatever does.
    pub(super) fn claiming(mut self, bytes: usize) -> Self {
        self.claims = Some(bytes);
        self
    }

    fn send(&self, out: &mut impl Write) -> std::io::Result<()> {
        if matches!(self.body, Body::Silent) {
            thread::sleep(Duration::from_secs(10));
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Body::Whole(body) = &self.body {
            let _ = write!(head, "Content-Length: {}\r\n", self.claims.unwrap_or(body.len()));
        }
        write!(out, "{head}\r\n")?;
        match &self.body {
            Body::Whole(body) => out.write_all(body)?,
            Body::Endless => loop {
                out.write_all(&[0; 4096])?;
            },
            Body::Dripping => loop {
                out.write_all(&[0])?;
                out.flush()?;
                thread::sleep(Duration::from_millis(100));
            },
            Body::Silent => {}
        }
        out.flush()
    }
}

/// The server. Its threads end with the test's process.
pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(move |stream, counted| speak(stream, &answer, counted))
    }

    /// With a certificate that nobody vouches for.
    pub(super) fn start_tls(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from(&include_bytes!("untrusted.der")[..]);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(&include_bytes!("untrusted.key.der")[..]));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        Self::serve(move |stream, counted| {
            let Ok(tls) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
            speak(rustls::StreamOwned::new(tls, stream), &answer, counted);
        })
    }

    fn serve(speak: impl Fn(TcpStream, &AtomicUsize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (speak, counter) = (Arc::new(speak), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (speak, counter) = (Arc::clone(&speak), Arc::clone(&counter));
                thread::spawn(move || speak(stream, &counter));
            }
        });
        Self { address, asked }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

fn speak(stream: impl Read + Write, answer: &impl Fn(&Request) -> Answer, counted: &AtomicUsize) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    counted.fetch_add(1, SeqCst);
    // A client that has heard enough hangs up.
    let _ = answer(&Request { path, headers }).send(stream.get_mut());
}
