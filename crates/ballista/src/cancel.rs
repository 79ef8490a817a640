//! A query whose client goes is stopped on the cluster too.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ballista_core::{
    execution_plans::DistributedQueryExec,
    serde::protobuf::{CancelJobParams, scheduler_grpc_client::SchedulerGrpcClient},
};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::TaskContext,
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream, metrics::MetricsSet,
        stream::RecordBatchStreamAdapter,
    },
};
use datafusion_proto::protobuf::LogicalPlanNode;
use futures::StreamExt;

use crate::told::hear;

/// How long a client that goes waits until the scheduler knows.
const PATIENCE: Duration = Duration::from_secs(2);

type Query = DistributedQueryExec<LogicalPlanNode>;

/// A query on the cluster, which is cancelled if nobody waits for its results any more.
#[derive(Debug)]
pub(crate) struct Cancelled {
    query: Arc<dyn ExecutionPlan>,
    scheduler: String,
}

impl Cancelled {
    /// `plan`, if it is a query for the cluster of `scheduler`; all else stays as it is.
    pub(crate) fn wrap(plan: Arc<dyn ExecutionPlan>, scheduler: &str) -> Arc<dyn ExecutionPlan> {
        if plan.is::<Query>() { Arc::new(Self { query: plan, scheduler: scheduler.to_owned() }) } else { plan }
    }
}

impl DisplayAs for Cancelled {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt_as(format, f)
    }
}

impl ExecutionPlan for Cancelled {
    fn name(&self) -> &'static str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.query.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let stream = self.query.execute(partition, context)?;
        let guard = Guard {
            query: Arc::clone(&self.query),
            scheduler: self.scheduler.clone(),
            settled: AtomicBool::new(false),
        };
        let schema = stream.schema();
        // Results and errors come when the cluster is done.
        let stream = stream.map(move |batch| {
            guard.settled.store(true, Ordering::Release);
            batch.map_err(hear)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.query.metrics()
    }
}

/// Cancels the query when it is dropped before the cluster was done.
struct Guard {
    query: Arc<dyn ExecutionPlan>,
    scheduler: String,
    settled: AtomicBool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let job = self.query.downcast_ref::<Query>().and_then(Query::job_id);
        let Some(job) = job.filter(|_| !self.settled.load(Ordering::Acquire)) else { return };
        let (scheduler, job_id) = (self.scheduler.clone(), job.to_string());
        // On a thread of its own: the one that drops may be running asynchronous code, or be about to end.
        let cancelling = thread::Builder::new().name("imbed-cancel".to_owned()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            let cancel = async {
                // If it cannot be told, the query ends by itself, and nobody is here to hear of it.
                if let Ok(mut client) = SchedulerGrpcClient::connect(scheduler).await {
                    let _ = client.cancel_job(CancelJobParams { job_id }).await;
                }
            };
            let _ = runtime.block_on(async { tokio::time::timeout(PATIENCE, cancel).await });
        });
        if let Ok(cancelling) = cancelling {
            let _ = cancelling.join();
        }
    }
}
