//! Rows that are addresses: fetched many at once, by whatever the engine was given, and not at all without.

mod support;

use std::{
    net::TcpListener,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use imbed_core::{Error, ErrorKind, Result};
use imbed_engine::{Engine, Fetch, Images, Terms, Watch};
use support::{FakeModel, png, vectors};

/// Gives an image whose red is the number in an address `test://NUMBER`, after a while that differs.
#[derive(Debug, Default)]
struct Fake {
    now: AtomicUsize,
    most: AtomicUsize,
    terms: Mutex<Vec<u32>>,
    /// Bytes that each image brings beside its own.
    weight: usize,
}

impl Fetch for Fake {
    fn takes(&self, place: &str) -> bool {
        place.starts_with("test://")
    }

    fn at_once(&self) -> NonZeroUsize {
        NonZeroUsize::new(16).unwrap()
    }

    fn fetch(&self, place: &str, terms: &Terms, watch: &mut dyn Watch) -> Result<Vec<u8>> {
        self.terms.lock().unwrap().push(terms.max_retries);
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        let number = place.trim_start_matches("test://");
        let bytes = match number {
            "panic" => panic!("a fetch panics"),
            "gone" => Err(Error::new(ErrorKind::Request, format!("{place}: gone"))),
            "forever" => loop {
                watch.again(Duration::from_secs(1))?;
            },
            "twice" => watch.came(7).and_then(|()| watch.again(Duration::ZERO)).map(|()| png([9; 3])),
            number => {
                let number: u8 = number.parse().unwrap();
                thread::sleep(Duration::from_millis(u64::from(number) * 7 % 13));
                Ok(png([number; 3]))
            }
        };
        let bytes = bytes.and_then(|bytes| watch.came(bytes.len() + self.weight).map(|()| bytes));
        self.now.fetch_sub(1, SeqCst);
        bytes
    }
}

fn engine(model: FakeModel, fetch: &Arc<Fake>) -> Engine {
    model.builder().fetch(Some(Arc::clone(fetch) as Arc<dyn Fetch>)).build().unwrap()
}

fn addresses(places: &[&str]) -> Images {
    let places: ArrayRef =
        Arc::new(places.iter().map(|place| Some(format!("test://{place}"))).collect::<StringArray>());
    Images::Paths(places)
}

#[test]
fn rows_keep_their_order_whatever_comes_first() {
    let numbers: Vec<String> = (0..120).map(|n: u8| n.to_string()).collect();
    let places: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let wanted: Vec<Option<Vec<f32>>> = (0..120u8).map(|n| Some(vec![n.into(), n.into(), n.into(), 1.0])).collect();
    for is_async in [false, true] {
        let fetch = Arc::new(Fake::default());
        let model = FakeModel::new(&[("batch_size", "8"), ("max_retries", "5")]);
        let engine = engine(if is_async { model.asynchronous() } else { model }, &fetch);
        assert!(engine.plan().to_string().contains("fetched at once     16"));
        let embedded = engine.embed_array(addresses(&places)).unwrap();
        assert_eq!(vectors(&embedded.embeddings), wanted);
        assert!(fetch.most.load(SeqCst) > 2, "{fetch:?}");
        assert!(fetch.terms.lock().unwrap().iter().all(|retries| *retries == 5));
    }
}

#[test]
fn what_is_fetched_fits_into_memory_although_a_row_is_slow() {
    // Each claims as much as the whole window holds.
    let fetch = Arc::new(Fake { weight: 128 << 20, ..Fake::default() });
    let numbers: Vec<String> = (0..60).map(|n: u8| n.to_string()).collect();
    let places: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let embedded = engine(FakeModel::new(&[]), &fetch).embed_array(addresses(&places)).unwrap();
    assert_eq!(embedded.embeddings.len(), 60);
}

#[test]
fn bytes_win_over_addresses_and_files_are_read_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    std::fs::write(&file, png([3; 3])).unwrap();
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter([Some(png([1; 3])), None, None, None]));
    let paths: ArrayRef =
        Arc::new(StringArray::from(vec![Some("test://9"), Some("test://2"), file.to_str(), None::<&str>]));
    let fetch = Arc::new(Fake::default());
    let embedded = engine(FakeModel::new(&[]), &fetch).embed_array(Images::BytesOrPaths { bytes, paths }).unwrap();
    let reds: Vec<Option<f32>> = vectors(&embedded.embeddings).iter().map(|v| v.as_ref().map(|v| v[0])).collect();
    assert_eq!(reds, [Some(1.0), Some(2.0), Some(3.0), None]);
    assert_eq!(fetch.terms.lock().unwrap().len(), 1);
}

#[test]
fn a_fetch_that_fails_or_panics_is_a_row_that_fails() {
    let fetch = Arc::new(Fake::default());
    let engine = engine(FakeModel::new(&[("on_error", "ignore")]), &fetch);
    let embedded = engine.embed_array(addresses(&["1", "gone", "panic", "twice"])).unwrap();
    let kinds: Vec<(usize, ErrorKind)> = embedded.errors.iter().map(|e| (e.row, e.error.kind())).collect();
    assert_eq!(kinds, [(1, ErrorKind::Request), (2, ErrorKind::Internal)]);
    let message = embedded.errors[0].to_string();
    assert_eq!(message, "row 1: request: test://gone: gone", "the address is said once");
    let mut stream = engine.embed_stream([support::chunk(&[], 0)].map(Ok)).unwrap();
    assert!(stream.next().unwrap().is_ok());
}

#[test]
fn the_counters_know_of_fetches() {
    let fetch = Arc::new(Fake::default());
    let engine = engine(FakeModel::new(&[]), &fetch);
    let mut chunk = support::chunk(&[support::Row::Null; 2], 0);
    chunk.images = addresses(&["1", "twice"]);
    let mut stream = engine.embed_stream([Ok(chunk)]).unwrap();
    let handle = stream.metrics_handle();
    stream.next().unwrap().unwrap();
    drop(stream);
    let seen = thread::spawn(move || handle.snapshot()).join().unwrap();
    assert_eq!((seen.fetched, seen.fetch_retries, seen.embedded), (2, 1, 2));
    assert_eq!(seen.bytes_read as usize, png([1; 3]).len() + png([9; 3]).len());
    let fetches = seen.latencies.iter().find(|latency| latency.stage == "fetch").unwrap();
    assert_eq!((fetches.count, fetches.sum), (2, seen.fetch));
    let queues = seen.queues;
    assert_eq!((queues.fetch, queues.prepare, queues.batch, queues.model, queues.fetched_bytes), (0, 0, 0, 0, 0));
}

#[test]
fn a_run_can_be_stopped_while_a_server_is_waited_for() {
    // Often, as the stages may have ended before the iterator looks.
    for round in 0..60 {
        let fetch = Arc::new(Fake::default());
        let engine = engine(FakeModel::new(&[]), &fetch);
        let mut chunk = support::chunk(&[support::Row::Null], 0);
        chunk.images = addresses(&["forever"]);
        let mut stream = engine.embed_stream([Ok(chunk)]).unwrap();
        let cancel = stream.cancel_handle();
        let start = Instant::now();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(if round == 0 { 100 } else { 7 }));
            cancel.cancel();
        });
        assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled, "round {round}");
        drop(stream);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn an_engine_that_was_given_nothing_makes_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/x.png?token=canary", listener.local_addr().unwrap());
    let paths: ArrayRef = Arc::new(StringArray::from(vec![url]));
    let error = FakeModel::new(&[]).engine().embed_array(Images::Paths(paths)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.hint_text().unwrap().contains("--allow-urls") && !error.to_string().contains("canary"), "{error}");
    assert!(listener.accept().is_err(), "somebody connected");
}
