//! The scheduler: takes queries, plans them, hands tasks out, and notices executors that have died.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::{
    cluster::BallistaCluster,
    config::{SchedulerConfig, TaskDistributionPolicy},
    scheduler_process::{create_scheduler, start_grpc_service_with_listener},
};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use imbed_core::{Error, ErrorKind, Result};
use tokio::net::TcpListener;

use crate::{
    codec::{LogicalCodec, PhysicalCodec},
    session::{config, scheduler_state},
};

/// The shortest time after which an executor may be taken for dead: three reports that were missed.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(6);

/// Tries of a task whose own work fails. Those that are lost with their executor do not count.
const TRIES: usize = 3;

/// Bytes of one message: a plan that lists a million images is cut into tasks before it is sent, the query itself is small.
const MESSAGE_BYTES: u32 = 256 << 20;

/// What a scheduler is told.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOptions {
    /// Where it listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// How long an executor may say nothing until its tasks go to others. At least six seconds.
    pub executor_timeout: Duration,
}

/// A scheduler that listens.
#[derive(Debug)]
pub struct Scheduler {
    listener: TcpListener,
    options: SchedulerOptions,
}

impl Scheduler {
    /// Takes the port.
    pub async fn bind(options: SchedulerOptions) -> Result<Self> {
        if options.executor_timeout < SHORTEST_TIMEOUT {
            let what = format!("an executor timeout of {:?} is too short", options.executor_timeout);
            return Err(
                Error::new(ErrorKind::BadOption, what).hint("executors report every two seconds: give at least six")
            );
        }
        let listener = TcpListener::bind(options.bind).await.map_err(|e| Error::io(options.bind, e))?;
        Ok(Self { listener, options })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|e| Error::io(self.options.bind, e))
    }

    /// Serves until `stop` is ready. Queries under way end with it.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let address = self.address()?;
        let timeout = self.options.executor_timeout.as_secs();
        let config = SchedulerConfig {
            external_host: address.ip().to_string(),
            bind_host: address.ip().to_string(),
            bind_port: address.port(),
            // The other way, in which executors ask for tasks, cannot stop tasks of a query that was cancelled or has failed.
            scheduling_policy: TaskSchedulingPolicy::PushStaged,
            // Every executor with a free slot gets a task before any gets its second.
            task_distribution: TaskDistributionPolicy::RoundRobin,
            executor_timeout_seconds: timeout,
            no_executors_grace_period_seconds: timeout,
            expire_dead_executor_interval_seconds: 1,
            task_max_failures: TRIES,
            stage_max_failures: usize::MAX,
            grpc_server_max_decoding_message_size: MESSAGE_BYTES,
            grpc_server_max_encoding_message_size: MESSAGE_BYTES,
            grpc_client_max_message_size: MESSAGE_BYTES,
            override_session_builder: Some(Arc::new(|config| Ok(scheduler_state(config)))),
            override_config_producer: Some(Arc::new(config)),
            override_logical_codec: Some(Arc::new(LogicalCodec::default())),
            override_physical_codec: Some(Arc::new(PhysicalCodec::default())),
            ..SchedulerConfig::default()
        };
        let failed = |e: ballista_core::error::BallistaError| {
            Error::new(ErrorKind::Internal, format!("the scheduler cannot go on: {e}")).source(e)
        };
        let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
        let scheduler =
            create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await.map_err(failed)?;
        tokio::select! {
            served = start_grpc_service_with_listener(self.listener, scheduler) => served.map_err(failed),
            () = stop => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_taken_and_a_hasty_timeout_refused() {
        let options =
            SchedulerOptions { bind: "127.0.0.1:0".parse().unwrap(), executor_timeout: Duration::from_secs(10) };
        assert_ne!(Scheduler::bind(options).await.unwrap().address().unwrap().port(), 0);
        let hasty = SchedulerOptions { executor_timeout: Duration::from_secs(5), ..options };
        assert!(Scheduler::bind(hasty).await.unwrap_err().hint_text().unwrap().contains("six"));
    }
}
