//! `--metrics-addr`: the counters of a run, of a query or of an executor, served to Prometheus while it goes on.
//!
//! One thread answers one request after another; who scrapes is a machine or two. Whoever reaches the address may read: counts, times and
//! the model's name, and nothing of the images.

mod exposition;

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use imbed::{
    core::{Error, ErrorKind, Result},
    engine::{MetricsHandle, MetricsSnapshot, Plan},
};

/// Bytes of a request, at most.
const REQUEST: u64 = 8 << 10;

/// How long one who asks may take over it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A run as others see it.
pub(crate) struct Run {
    started: Instant,
    /// Rows of the whole input, where that is known.
    total: Option<u64>,
    models: Box<dyn Fn() -> Vec<Model> + Send>,
}

/// A model of a run, and its counters at one moment.
struct Model {
    provider: String,
    name: String,
    /// Calls of the model that may go on at once.
    workers: usize,
    now: MetricsSnapshot,
}

impl Run {
    /// A run of one model.
    pub(crate) fn new(handle: MetricsHandle, plan: &Plan, total: Option<u64>) -> Self {
        let (provider, name, workers) = (plan.provider.clone(), plan.model.clone(), plan.workers.value);
        let models =
            move || vec![Model { provider: provider.clone(), name: name.clone(), workers, now: handle.snapshot() }];
        Self { started: Instant::now(), total, models: Box::new(models) }
    }

    /// All that the queries of this process do with models.
    #[cfg(feature = "sql")]
    pub(crate) fn of_queries() -> Self {
        let models = || {
            let models = imbed_datafusion::model_counts().into_iter();
            models
                .map(|it| Model { provider: it.provider, name: it.model, workers: it.workers, now: it.counts })
                .collect()
        };
        Self { started: Instant::now(), total: None, models: Box::new(models) }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("started", &self.started).field("total", &self.total).finish_non_exhaustive()
    }
}

/// The server, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server(Option<Arc<Mutex<Option<Run>>>>);

impl Server {
    /// Serves at `address` from here on, until the program ends.
    pub(crate) fn start(address: Option<SocketAddr>) -> Result<Self> {
        let Some(address) = address else { return Ok(Self::default()) };
        let listener = TcpListener::bind(address).map_err(|e| {
            Error::new(ErrorKind::BadOption, format!("--metrics-addr {address}: {e}"))
                .source(e)
                .hint("choose another port, or 0 for any that is free; --log-level info says which it is")
        })?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!("server.address" = %address.ip(), "server.port" = address.port(), "metrics are served");
        let run = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&run);
        thread::Builder::new()
            .name("imbed-metrics".to_owned())
            .spawn(move || serve(&listener, &shown))
            .map_err(|e| Error::io("cannot start the thread that serves metrics", e))?;
        Ok(Self(Some(run)))
    }

    /// From here on, the counters are those of `run`.
    pub(crate) fn show(&self, run: impl FnOnce() -> Run) {
        if let Self(Some(shown)) = self {
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(run());
        }
    }
}

fn serve(listener: &TcpListener, run: &Mutex<Option<Run>>) {
    for stream in listener.incoming() {
        let answered = stream.and_then(|stream| answer(&stream, run));
        if let Err(error) = answered {
            tracing::debug!(%error, "metrics were asked for and not taken");
            // Where no connection can be accepted, the next will not be for a moment.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn answer(stream: &TcpStream, run: &Mutex<Option<Run>>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(REQUEST));
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let mut rest = String::new();
    while lines.read_line(&mut rest)? > 2 {
        rest.clear();
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next()) {
        ("GET" | "HEAD", Some("/metrics")) => {
            ("200 OK", exposition::text(run.lock().unwrap_or_else(PoisonError::into_inner).as_ref()))
        }
        ("GET" | "HEAD", _) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let body = if method == "HEAD" { "" } else { &body };
    let mut stream = stream;
    stream.write_all(format!("{head}{body}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_answers_one_path_and_survives_nonsense() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener, &Mutex::new(None)));
        assert!(ask(address, "\r\n\r\n").starts_with("HTTP/1.1 405"));
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("imbed_build_info{version=\""), "{answer}");
    }

    #[test]
    fn an_address_in_use_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Server::start(listener.local_addr().ok()).unwrap_err();
        assert!(error.message().contains("--metrics-addr") && error.hint_text().is_some(), "{error}");
    }
}
