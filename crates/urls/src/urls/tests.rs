//! Fetches from servers on this machine that mean no good.

mod server;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use imbed_core::ErrorKind;
use ureq::unversioned::{
    resolver::ArrayVec,
    transport::{ConnectionDetails, Either, TcpConnector, Transport},
};

use self::server::{Answer, Server};
use super::*;

/// A public address that nobody is asked at: tests connect elsewhere.
const PUBLIC: [u8; 4] = [93, 184, 216, 34];

/// Counts what the engine would be told.
#[derive(Default)]
struct Told {
    bytes: usize,
    waits: Vec<Duration>,
}

impl Watch for Told {
    fn came(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        Ok(())
    }

    fn again(&mut self, wait: Duration) -> Result<()> {
        self.waits.push(wait);
        Ok(())
    }
}

fn limits() -> Limits {
    Limits { time: Duration::from_secs(5), silence: Duration::from_secs(2), ..Limits::default() }
}

fn terms() -> Terms {
    Terms { max_bytes: 10_000, max_retries: 2 }
}

/// Fetches where this machine is allowed by name.
fn allowed() -> Urls {
    Urls::new(vec!["127.0.0.1".parse().unwrap()], limits())
}

fn fetch(urls: &Urls, url: &str) -> Result<Vec<u8>> {
    urls.fetch(url, &terms(), &mut Told::default())
}

fn failure(urls: &Urls, url: &str) -> Error {
    let error = fetch(urls, url).unwrap_err();
    assert!(error.hint_text().is_some(), "no next step: {error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    error
}

#[test]
fn this_machine_and_private_networks_are_refused_by_whatever_name() {
    let server = Server::start(|_| Answer::ok(b"never"));
    let urls = Urls::new(Vec::new(), limits());
    let port = server.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0", "127.1"] {
        let error = failure(&urls, &format!("http://{host}:{port}/x"));
        assert!(!error.is_temporary() || error.message().contains("no such host"), "{host}: {error}");
    }
    for host in ["10.0.0.1", "169.254.169.254", "192.168.0.1", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]"] {
        let error = failure(&urls, &format!("http://{host}/x"));
        assert!(error.message().contains(" is a"), "{error}");
        assert!(error.hint_text().unwrap().contains("--allow-host"), "{error}");
    }
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_host_that_is_allowed_by_name_is_reached_and_no_other_port_of_it() {
    let server = Server::start(|request| Answer::ok(request.path.as_bytes()));
    assert_eq!(fetch(&allowed(), &server.url("/a b?x=1#y")).unwrap(), b"/a%20b?x=1");
    let other_port = Urls::new(vec!["127.0.0.1:1".parse().unwrap()], limits());
    assert!(failure(&other_port, &server.url("/x")).message().contains("an address of this machine"));
}

#[test]
fn other_protocols_are_refused() {
    let urls = allowed();
    assert!(
        !urls.takes("file:///etc/passwd")
            && !urls.takes("ftp://h/x")
            && !urls.takes("s3://b/x")
            && !urls.takes("a.png")
    );
    assert!(urls.takes("HTTP://h/x"));
    let server = Server::start(|_| Answer::redirect("file:///etc/passwd"));
    assert!(failure(&urls, &server.url("/x")).message().contains("only http and https"));
}

#[test]
fn a_redirect_to_a_private_host_is_refused_and_one_to_an_allowed_host_is_followed() {
    let inner = Server::start(|_| Answer::ok(b"inside"));
    let to_name = format!("http://localhost:{}/secret", inner.port());
    let outer = Server::start(move |request| match request.path.as_str() {
        "/hop" => Answer::redirect("/image"),
        "/image" => Answer::ok(b"image"),
        _ => Answer::redirect(&to_name),
    });
    let error = failure(&allowed(), &outer.url("/x"));
    assert!(error.message().contains("localhost is at"), "{error}");
    assert_eq!(inner.asked(), 0);
    assert_eq!(fetch(&allowed(), &outer.url("/hop")).unwrap(), b"image");
}

#[test]
fn redirects_end() {
    let server = Server::start(|request| Answer::redirect(&format!("{}x", request.path)));
    assert!(failure(&allowed(), &server.url("/x")).message().contains("more than 5 redirects"));
    assert_eq!(server.asked(), 6);
    let nowhere = Server::start(|_| Answer::status(302));
    assert!(failure(&allowed(), &nowhere.url("/x")).message().contains("leads nowhere"));
}

#[test]
fn credentials_go_to_their_host_and_into_no_message() {
    let elsewhere = Server::start(|request| match request.header("authorization") {
        None => Answer::status(404),
        Some(_) => Answer::ok(b"a stranger was shown a password"),
    });
    let target = elsewhere.url("/x?token=canary");
    let server = Server::start(move |request| match request.header("authorization") {
        Some("Basic bWU6Y2FuYXJ5") => Answer::redirect(&target),
        _ => Answer::status(401),
    });
    let error = failure(&allowed(), &server.url("/x?sig=canary").replace("http://", "http://me:canary@"));
    assert!(error.message().contains("404"), "{error}");
    assert!(error.message().starts_with(&format!("http://127.0.0.1:{}/x?…: ", server.port())), "{error}");
}

#[test]
fn bodies_are_limited_by_what_they_claim_and_by_what_they_are() {
    let claims = Server::start(|_| Answer::ok(b"").claiming(1 << 40));
    let error = failure(&allowed(), &claims.url("/x"));
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.hint_text().unwrap().contains("--max-bytes"), "{error}");
    let endless = Server::start(|_| Answer::endless());
    assert_eq!(failure(&allowed(), &endless.url("/x")).kind(), ErrorKind::Limit);
    let exact = Server::start(|_| Answer::ok(&[7; 10_000]));
    assert_eq!(fetch(&allowed(), &exact.url("/x")).unwrap().len(), 10_000);
}

#[test]
fn a_body_that_ends_before_its_length_is_tried_again_and_then_an_error() {
    let server = Server::start(|_| Answer::ok(b"half").claiming(8));
    let mut told = Told::default();
    let error = allowed().fetch(&server.url("/x"), &terms(), &mut told).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert_eq!((server.asked(), told.waits.len()), (3, 2), "{error}");
}

#[test]
fn a_body_that_drips_ends_with_its_time() {
    let server = Server::start(|_| Answer::dripping());
    let urls = Urls::new(vec!["127.0.0.1".parse().unwrap()], Limits { time: Duration::from_millis(600), ..limits() });
    let start = Instant::now();
    assert!(failure(&urls, &server.url("/x")).message().contains("took longer than 0.6 s"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start(|_| Answer::silent());
    let limits = Limits { time: Duration::from_secs(3), silence: Duration::from_millis(200), ..limits() };
    let urls = Urls::new(vec!["127.0.0.1".parse().unwrap()], limits);
    let start = Instant::now();
    let error = failure(&urls, &server.url("/x"));
    assert!(error.message().contains("does not answer in time"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_busy_server_is_waited_for_as_it_asks() {
    let tries = AtomicUsize::new(0);
    let server = Server::start(move |_| match tries.fetch_add(1, SeqCst) {
        0 => Answer::status(429).with("Retry-After", "1"),
        1 => Answer::status(503),
        _ => Answer::ok(b"image"),
    });
    let mut told = Told::default();
    assert_eq!(allowed().fetch(&server.url("/x"), &terms(), &mut told).unwrap(), b"image");
    assert_eq!(told.waits, [Duration::from_secs(1), WAIT * 2]);
    assert_eq!(told.bytes, 5);
    let patient = Server::start(|_| Answer::status(503).with("Retry-After", "3600"));
    assert!(failure(&allowed(), &patient.url("/x")).message().contains("asks for 3600 s of rest"));
    assert_eq!(patient.asked(), 1);
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let server = Server::start(|_| Answer::status(404));
    assert!(failure(&allowed(), &server.url("/x")).message().contains("404 (Not Found)"));
    assert_eq!(server.asked(), 1);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let server = Server::start_tls(|_| Answer::ok(b"never"));
    let error = failure(&allowed(), &server.url("/x").replace("http://", "https://"));
    assert!(error.message().contains("no secure connection"), "{error}");
    assert_eq!(server.asked(), 0);
    let plain = Server::start(|_| Answer::ok(b"never"));
    let error = failure(&allowed(), &plain.url("/x").replace("http://", "https://"));
    assert_eq!(error.kind(), ErrorKind::Request, "{error}");
}

/// A name server that somebody hostile runs.
#[derive(Debug)]
struct Rebinding {
    answers: Vec<Vec<[u8; 4]>>,
    asked: Arc<AtomicUsize>,
}

impl Lookup for Rebinding {
    fn addresses(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let n = self.asked.fetch_add(1, SeqCst);
        let answer = &self.answers[n.min(self.answers.len() - 1)];
        Ok(answer.iter().map(|address| SocketAddr::from((*address, port))).collect())
    }
}

/// Notes which addresses are connected to, and connects to a server on this machine in their stead.
#[derive(Debug)]
struct Diverted {
    to: SocketAddr,
    connected: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Connector for Diverted {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        self.connected.lock().unwrap().extend(&details.addrs);
        let mut addrs = ArrayVec::from_fn(|_| self.to);
        addrs.push(self.to);
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
        };
        Ok(match Connector::<()>::connect(&TcpConnector::default(), &details, None)? {
            Some(Either::A(())) | None => None,
            Some(Either::B(tcp)) => Some(Box::new(tcp)),
        })
    }
}

#[test]
fn a_name_that_leads_elsewhere_when_it_is_asked_again_leads_nowhere() {
    let server = Server::start(|request| match request.path.as_str() {
        "/moves" => Answer::redirect("http://rebinding.example/secret"),
        _ => Answer::ok(b"image"),
    });
    let (asked, connected) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let urls = |answers: Vec<Vec<[u8; 4]>>| {
        asked.store(0, SeqCst);
        connected.lock().unwrap().clear();
        let lookup = Rebinding { answers, asked: Arc::clone(&asked) };
        let connector = Diverted { to: server.address(), connected: Arc::clone(&connected) };
        Urls::with_parts(Vec::new(), limits(), Arc::new(lookup), connector)
    };
    let public = SocketAddr::from((PUBLIC, 80));

    // One connection, one lookup: the address that was looked at is the one that is connected to.
    let rebinds = urls(vec![vec![PUBLIC], vec![[127, 0, 0, 1]]]);
    assert_eq!(fetch(&rebinds, "http://rebinding.example/x").unwrap(), b"image");
    assert_eq!((asked.load(SeqCst), connected.lock().unwrap().as_slice()), (1, [public].as_slice()));

    // The next hop is looked up again, and refused.
    let rebinds = urls(vec![vec![PUBLIC], vec![[127, 0, 0, 1]]]);
    let error = failure(&rebinds, "http://rebinding.example/moves");
    assert!(error.message().contains("rebinding.example is at 127.0.0.1"), "{error}");
    assert_eq!((asked.load(SeqCst), connected.lock().unwrap().as_slice()), (2, [public].as_slice()));

    // Of several answers at once, none but the public one is tried.
    let mixed = urls(vec![vec![[10, 0, 0, 1], PUBLIC, [127, 0, 0, 1]]]);
    assert_eq!(fetch(&mixed, "http://rebinding.example/x").unwrap(), b"image");
    assert_eq!(connected.lock().unwrap().as_slice(), [public]);
}
