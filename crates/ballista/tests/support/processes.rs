//! A scheduler and executors as processes of their own, on loopback: this program again, in another role.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use imbed_ballista::{Executor, ExecutorOptions, Gpus, Scheduler, SchedulerOptions, told_to_stop};

/// The variable that says which role a process has.
pub(crate) const ROLE: &str = "IMBED_CLUSTER_ROLE";

/// The variable with the scheduler's address, for executors.
const SCHEDULER: &str = "IMBED_CLUSTER_SCHEDULER";

/// The variable with an executor's number of task slots.
const SLOTS: &str = "IMBED_CLUSTER_SLOTS";

/// What a line starts with that says where a process listens.
const READY: &str = "ready at ";

/// Plays the role that the environment names; `false` if there is none.
pub(crate) fn play() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if role == "scheduler" {
            let options =
                SchedulerOptions { bind: "127.0.0.1:0".parse().unwrap(), executor_timeout: Duration::from_secs(6) };
            let scheduler = Scheduler::bind(options).await.unwrap();
            println!("\n{READY}{}", scheduler.address().unwrap());
            scheduler.serve(told_to_stop().unwrap()).await.unwrap();
        } else {
            let executor = Executor::new(ExecutorOptions {
                scheduler: std::env::var(SCHEDULER).unwrap(),
                bind: "127.0.0.1:0".parse().unwrap(),
                control_port: 0,
                external_host: None,
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
}

impl Process {
    /// Starts this program again with `arguments` and what `set` adds, and waits until it is ready.
    fn start(role: &str, arguments: &[&str], set: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).env(ROLE, role).envs(set.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            match lines.next() {
                Some(Ok(line)) => {
                    if let Some(address) = line.strip_prefix(READY) {
                        break address.to_owned();
                    }
                }
                _ => panic!("the {role} ended before it was ready"),
            }
        };
        // What else it prints must go somewhere, or it would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub(crate) fn scheduler(arguments: &[&str]) -> Self {
        Self::start("scheduler", arguments, &[])
    }

    pub(crate) fn executor(arguments: &[&str], scheduler: &Self, slots: usize) -> Self {
        Self::start("executor", arguments, &[(SCHEDULER, &scheduler.address), (SLOTS, &slots.to_string())])
    }

    /// Ends it at once, as the kernel does when memory runs out.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
