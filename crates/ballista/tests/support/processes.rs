//! A scheduler and executors as processes of their own, on loopback: this program again, in another role.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{client, logs};
use imbed_ballista::{Executor, ExecutorOptions, Gpus, Scheduler, SchedulerOptions, told_to_stop};

/// The variable that says which role a process has.
pub(crate) const ROLE: &str = "IMBED_CLUSTER_ROLE";

/// The variable with the scheduler's address, for executors and clients.
const SCHEDULER: &str = "IMBED_CLUSTER_SCHEDULER";

/// The variable with an executor's number of task slots.
const SLOTS: &str = "IMBED_CLUSTER_SLOTS";

/// The variables with the address and port where an executor listens, and the address by which others reach it, if not the usual.
const BIND: &str = "IMBED_CLUSTER_BIND";
const CONTROL: &str = "IMBED_CLUSTER_CONTROL";
const EXTERNAL: &str = "IMBED_CLUSTER_EXTERNAL";

/// The variable that, if it is set, makes processes tell all that they do.
const TALKS: &str = "IMBED_CLUSTER_TALKS";

/// What a line starts with that says where a process listens.
const READY: &str = "ready at ";

/// Plays the role that the environment names; `false` if there is none.
pub(crate) fn play() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    if std::env::var_os(TALKS).is_some() {
        logs::start();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if role == "scheduler" {
            let options =
                SchedulerOptions { bind: "127.0.0.1:0".parse().unwrap(), executor_timeout: Duration::from_secs(6) };
            let scheduler = Scheduler::bind(options).await.unwrap();
            println!("\n{READY}{}", scheduler.address().unwrap());
            scheduler.serve(told_to_stop().unwrap()).await.unwrap();
        } else if role == "client" {
            client::run(std::env::var(SCHEDULER).unwrap()).await;
        } else {
            let usual = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
            let executor = Executor::new(ExecutorOptions {
                scheduler: std::env::var(SCHEDULER).unwrap(),
                bind: usual(BIND, "127.0.0.1:0").parse().unwrap(),
                control_port: usual(CONTROL, "0").parse().unwrap(),
                external_host: std::env::var(EXTERNAL).ok(),
                task_slots: std::env::var(SLOTS).unwrap().parse().unwrap(),
                gpus: Gpus::Count(0),
                work_dir: None,
                connect_timeout: Duration::from_secs(10),
            })
            .await
            .unwrap();
            executor.run(|address| println!("\n{READY}{address}")).await.unwrap();
        }
    });
    true
}

/// A process that ends with its owner.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    /// What it has printed, but for the line that says where it listens.
    said: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Starts this program again with `arguments` and what `set` adds, and waits until it is ready.
    fn start(role: &str, arguments: &[&str], set: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).env(ROLE, role).envs(set.iter().copied()).stdout(Stdio::piped());
        let talks = set.iter().any(|(name, _)| *name == TALKS);
        command.stderr(if talks { Stdio::piped() } else { Stdio::inherit() });
        let mut child = command.spawn().unwrap();
        let said = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            keep(stderr, &said);
        }
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the {role} ended before it was ready");
            if let Some(address) = line.strip_prefix(READY) {
                break address.trim_end().to_owned();
            }
        };
        // What else it prints must go somewhere, or it would wait for a reader.
        keep(lines, &said);
        Self { child, address, said }
    }

    pub(crate) fn scheduler(arguments: &[&str]) -> Self {
        Self::start("scheduler", arguments, &[])
    }

    pub(crate) fn executor(arguments: &[&str], scheduler: &Self, slots: usize) -> Self {
        Self::start("executor", arguments, &[(SCHEDULER, &scheduler.address), (SLOTS, &slots.to_string())])
    }

    /// A scheduler with `secrets` in its environment, which tells all that it does.
    pub(crate) fn talking_scheduler(arguments: &[&str], secrets: &[(&str, &str)]) -> Self {
        Self::start("scheduler", arguments, &[secrets, &[(TALKS, "1")]].concat())
    }

    /// An executor with `secrets` in its environment, which tells all that it does. It listens at `bind` and `control`, and
    /// others reach it at the same ports of 127.0.0.1.
    pub(crate) fn talking_executor(
        arguments: &[&str],
        scheduler: SocketAddr,
        (bind, control): (SocketAddr, u16),
        secrets: &[(&str, &str)],
    ) -> Self {
        let (scheduler, bind, control) = (scheduler.to_string(), bind.to_string(), control.to_string());
        let own = [
            (SCHEDULER, scheduler.as_str()),
            (SLOTS, "1"),
            (BIND, &bind),
            (CONTROL, &control),
            (EXTERNAL, "127.0.0.1"),
            (TALKS, "1"),
        ];
        Self::start("executor", arguments, &[secrets, &own].concat())
    }

    /// A client with `set` in its environment, which tells all that it does, to its end.
    pub(crate) fn talking_client(arguments: &[&str], scheduler: SocketAddr, set: &[(&str, &str)]) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).envs(set.iter().copied()).env(TALKS, "1");
        command.env(ROLE, "client").env(SCHEDULER, format!("df://{scheduler}"));
        command.output().unwrap()
    }

    /// What it has printed so far.
    pub(crate) fn said(&self) -> Vec<u8> {
        self.said.lock().unwrap().clone()
    }

    /// Ends it at once, as the kernel does when memory runs out.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Reads to the end and keeps what comes.
fn keep(mut from: impl Read + Send + 'static, said: &Arc<Mutex<Vec<u8>>>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut buffer = vec![0; 8 << 10];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            said.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
