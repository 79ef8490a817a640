//! An executor: asks the scheduler for tasks, runs them, and keeps results until they are fetched.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use ballista_core::{config::TaskSchedulingPolicy, registry::BallistaFunctionRegistry};
use ballista_executor::{
    execution_engine::DefaultExecutionEngine,
    executor_process::{ExecutorProcessConfig, start_executor_process},
};
use datafusion::execution::{SessionStateBuilder, runtime_env::RuntimeEnvBuilder};
use imbed_core::{Error, ErrorKind, Registry, Result, Session};
use imbed_datafusion::{Imbed, Stores, use_gpus};
use imbed_engine::{FixedInventory, GpuInventory, SystemInventory};
use tokio::{net::TcpStream, time::sleep};

use crate::{
    codec::{LogicalCodec, PhysicalCodec},
    numbering::Numbering,
    session::config,
};

/// Results of queries that nobody cleaned up go after a day.
const KEEP_RESULTS: Duration = Duration::from_hours(24);

/// Between two tries to reach the scheduler.
const RETRY: Duration = Duration::from_millis(200);

/// How often an executor tells the scheduler that it is there.
const REPORTS: Duration = Duration::from_secs(2);

/// Bytes of one message.
const MESSAGE_BYTES: u32 = 256 << 20;

/// How many GPUs an executor's models may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpus {
    /// All that the process may see.
    Auto,
    /// So many of them; 0 runs models on the processor.
    Count(usize),
}

impl FromStr for Gpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Count).map_err(|_| format!("'{number}' is neither auto nor a number")),
        }
    }
}

impl Gpus {
    /// The GPUs that are meant, if `machine` has them.
    fn inventory(self, machine: &dyn GpuInventory) -> Result<FixedInventory> {
        let there = FixedInventory { cuda: machine.cuda(), metal: machine.metal() };
        let Self::Count(wanted) = self else { return Ok(there) };
        let have = there.cuda.max(there.metal);
        if wanted > have {
            let what = format!("{wanted} GPUs are to be used, and this process sees {have}");
            return Err(Error::new(ErrorKind::Device, what)
                .hint("give --gpus auto or fewer; CUDA_VISIBLE_DEVICES decides which ones a process sees"));
        }
        Ok(FixedInventory { cuda: wanted.min(there.cuda), metal: wanted.min(there.metal) })
    }
}

/// What an executor is told.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// The scheduler's `HOST:PORT`.
    pub scheduler: String,
    /// Where results are fetched from; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The port on which the scheduler hands tasks out; 0 takes a free one.
    pub control_port: u16,
    /// The name or address that others reach it by, if not that of `bind`.
    pub external_host: Option<String>,
    /// Tasks at once.
    pub task_slots: usize,
    /// GPUs that its models share.
    pub gpus: Gpus,
    /// Where results wait to be fetched; a folder for its life alone if there is none.
    pub work_dir: Option<PathBuf>,
    /// How long it waits for the scheduler to be there.
    pub connect_timeout: Duration,
}

/// An executor that is ready to begin.
#[derive(Debug)]
pub struct Executor {
    options: ExecutorOptions,
    scheduler: (String, u16),
    address: SocketAddr,
    control_port: u16,
    work_dir: PathBuf,
    /// Removed when it goes.
    _temporary: Option<tempfile::TempDir>,
}

impl Executor {
    /// Checks GPUs and folders, and reaches the scheduler.
    pub async fn new(options: ExecutorOptions) -> Result<Self> {
        use_gpus(Arc::new(options.gpus.inventory(&SystemInventory)?))?;
        let scheduler = host_and_port(&options.scheduler)?;
        let temporary = match options.work_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|e| Error::io("a folder for results", e))?),
        };
        let work_dir = match (&options.work_dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(dir)) => dir.path().to_owned(),
            (None, None) => PathBuf::from("."),
        };
        std::fs::create_dir_all(&work_dir).map_err(|e| Error::io(work_dir.display(), e))?;
        let (address, control_port) = ports(&options)?;
        reach(&options.scheduler, options.connect_timeout).await?;
        Ok(Self { options, scheduler, address, control_port, work_dir, _temporary: temporary })
    }

    /// Works until the process is told to stop with SIGINT or SIGTERM; tasks under way come to their end.
    ///
    /// Calls `ready` with the address that results are fetched from, once they can be.
    pub async fn run(self, ready: impl FnOnce(SocketAddr)) -> Result<()> {
        let (scheduler_host, scheduler_port) = self.scheduler.clone();
        let builder = SessionStateBuilder::new().with_default_features();
        let state = Imbed::new(Session::new(Registry::linked())).install(builder).build();
        let work_dir = self.work_dir.to_string_lossy().into_owned();
        let temporary = work_dir.clone();
        let process = ExecutorProcessConfig {
            bind_host: self.address.ip().to_string(),
            external_host: Some(self.options.external_host.clone().unwrap_or_else(|| own_name(self.address.ip()))),
            port: self.address.port(),
            grpc_port: self.control_port,
            scheduler_host,
            scheduler_port,
            // Reached already. Its own way of waiting never ends.
            scheduler_connect_timeout_seconds: 0,
            vcores: self.options.task_slots,
            task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
            executor_heartbeat_interval_seconds: REPORTS.as_secs(),
            work_dir: Some(work_dir),
            job_data_ttl_seconds: KEEP_RESULTS.as_secs(),
            job_data_clean_up_interval_seconds: 3600,
            grpc_max_decoding_message_size: MESSAGE_BYTES,
            grpc_max_encoding_message_size: MESSAGE_BYTES,
            override_execution_engine: Some(Arc::new(Numbering(DefaultExecutionEngine::new()))),
            override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&state))),
            override_runtime_producer: Some(Arc::new(move |_| {
                let stores = Arc::new(Stores::from_environment());
                let runtime = RuntimeEnvBuilder::new().with_object_store_registry(stores);
                runtime.with_temp_file_path(temporary.clone()).build_arc()
            })),
            override_config_producer: Some(Arc::new(config)),
            override_logical_codec: Some(Arc::new(LogicalCodec::default())),
            override_physical_codec: Some(Arc::new(PhysicalCodec::default())),
            ..ExecutorProcessConfig::default()
        };
        let address = self.address;
        let mut working = pin!(start_executor_process(Arc::new(process)));
        let ended = tokio::select! {
            ended = &mut working => ended,
            () = listens(address) => {
                ready(address);
                working.await
            }
        };
        ended.map_err(|e| Error::new(ErrorKind::Internal, format!("the executor cannot go on: {e}")).source(e))
    }
}

/// Waits until `address` takes connections.
async fn listens(address: SocketAddr) {
    let reached = if address.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    };
    loop {
        sleep(Duration::from_millis(20)).await;
        if TcpStream::connect(reached).await.is_ok() {
            return;
        }
    }
}

/// What others call a process that listens on `ip`, where nobody says otherwise.
fn own_name(ip: IpAddr) -> String {
    if ip.is_unspecified() { "localhost".to_owned() } else { ip.to_string() }
}

/// The address that results are fetched from and the port that tasks come to, both free now.
fn ports(options: &ExecutorOptions) -> Result<(SocketAddr, u16)> {
    let bind = |address: SocketAddr| {
        let listener = std::net::TcpListener::bind(address).map_err(|e| Error::io(address, e))?;
        let address = listener.local_addr().map_err(|e| Error::io(address, e))?;
        Ok::<_, Error>((listener, address))
    };
    // Both are given back at once, and taken again by the services: somebody could come between.
    let (_results, address) = bind(options.bind)?;
    let (_control, control) = bind(SocketAddr::new(options.bind.ip(), options.control_port))?;
    Ok((address, control.port()))
}

/// `HOST:PORT`, perhaps behind `df://` or `http://`, in its two parts.
pub(crate) fn host_and_port(text: &str) -> Result<(String, u16)> {
    let wrong = || {
        Error::new(ErrorKind::BadOption, format!("'{text}' is not the address of a scheduler"))
            .hint("write HOST:PORT, such as 127.0.0.1:50050")
    };
    let address = text.split_once("://").map_or(text, |(_, address)| address).trim_end_matches('/');
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

/// Waits until somebody listens at the scheduler's address.
pub(crate) async fn reach(scheduler: &str, patience: Duration) -> Result<()> {
    let (host, port) = host_and_port(scheduler)?;
    let start = Instant::now();
    loop {
        let left = patience.saturating_sub(start.elapsed());
        let tried = tokio::time::timeout(left.max(RETRY), TcpStream::connect((host.trim_matches(['[', ']']), port)));
        let why = match tried.await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if start.elapsed() + RETRY >= patience {
            let what = format!("no scheduler can be reached at {host}:{port}: {why}");
            return Err(Error::new(ErrorKind::Request, what)
                .hint(format!("start one with `imbed cluster scheduler --bind {host}:{port}`, or check the address")));
        }
        sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_that_are_missing_are_an_error() {
        let two = FixedInventory { cuda: 2, metal: 0 };
        assert_eq!(Gpus::Auto.inventory(&two).unwrap(), two);
        assert_eq!(Gpus::Count(1).inventory(&two).unwrap(), FixedInventory { cuda: 1, metal: 0 });
        assert_eq!(Gpus::Count(0).inventory(&two).unwrap(), FixedInventory::default());
        let missing = Gpus::Count(3).inventory(&two).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Device);
        assert!("x".parse::<Gpus>().is_err() && "-1".parse::<Gpus>().is_err());
    }

    #[test]
    fn addresses_come_with_and_without_a_scheme() {
        for text in ["df://localhost:50050", "http://localhost:50050/", "localhost:50050"] {
            assert_eq!(host_and_port(text).unwrap(), ("localhost".to_owned(), 50050));
        }
        assert_eq!(host_and_port("[::1]:1").unwrap().0, "[::1]");
        for wrong in ["localhost", ":50050", "localhost:port", "df://"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_scheduler_that_is_not_there_is_an_error_in_time() {
        // A port that somebody had, and has no more.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let start = Instant::now();
        let error = reach(&address.to_string(), Duration::from_millis(500)).await.unwrap_err();
        assert!(error.message().contains(&address.to_string()), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
