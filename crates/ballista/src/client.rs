//! The client's session: queries are planned here as far as models are concerned, and run there.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use ballista_core::{
    extension::SessionConfigExt, optimizer::ballista_default_optimizer_rules, planner::BallistaQueryPlanner,
};
use datafusion::{
    catalog::Session,
    common::{DataFusionError, plan_err},
    error::Result as PlanResult,
    execution::{SessionState, SessionStateBuilder, context::QueryPlanner},
    logical_expr::{LogicalPlan, dml::CopyTo},
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner},
    prelude::SessionContext,
};
use datafusion_proto::protobuf::LogicalPlanNode;
use imbed_core::Result;
use imbed_datafusion::Imbed;

use crate::{
    cancel::Cancelled,
    codec::LogicalCodec,
    executor::{host_and_port, reach},
    save::{Parts, save},
    session::config,
};

/// How long a client waits for the scheduler to be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of one message.
const MESSAGE_BYTES: usize = 256 << 20;

/// A cluster, as a client knows it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The scheduler's address: `df://HOST:PORT`.
    pub scheduler: String,
    /// Partitions that tables are dealt out to: tasks of an embedding.
    pub partitions: NonZeroUsize,
}

impl Cluster {
    /// Partitions where nobody says how many: enough for a few executors, and few enough that each is worth a task.
    pub const PARTITIONS: NonZeroUsize = NonZeroUsize::new(32).unwrap();
}

/// A session of DataFusion with the functions of `imbed`, whose queries run on `cluster`.
///
/// The models that a query names are decided here, by `imbed`'s session. A `COPY … TO 'folder/' STORED AS PARQUET` writes
/// [parts](crate::save_parts). An error in seconds if the scheduler is not there.
pub async fn connect(imbed: &Imbed, cluster: &Cluster) -> Result<SessionContext> {
    let (host, port) = host_and_port(&cluster.scheduler)?;
    reach(&cluster.scheduler, PATIENCE).await?;
    let state = state(imbed, &format!("http://{host}:{port}"), cluster.partitions.get());
    Ok(SessionContext::new_with_state(state))
}

/// The session of a client.
pub(crate) fn state(imbed: &Imbed, scheduler: &str, partitions: usize) -> SessionState {
    let config = config().with_target_partitions(partitions).with_ballista_grpc_client_max_message_size(MESSAGE_BYTES);
    let cluster = BallistaQueryPlanner::<LogicalPlanNode>::with_extension(
        scheduler.to_owned(),
        config.ballista_config(),
        Arc::new(LogicalCodec::default()),
    );
    let builder = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_query_planner(Arc::new(Remote { cluster, scheduler: scheduler.to_owned() }));
    imbed.install_to_send(builder).build()
}

/// Sends plans to the cluster.
#[derive(Debug)]
struct Remote {
    cluster: BallistaQueryPlanner<LogicalPlanNode>,
    scheduler: String,
}

impl Remote {
    async fn send(&self, plan: &LogicalPlan, session: &dyn Session) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let plan = self.cluster.create_physical_plan(plan, session).await?;
        Ok(Cancelled::wrap(plan, &self.scheduler))
    }
}

#[async_trait]
impl QueryPlanner for Remote {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        match plan {
            // What this session knows itself.
            LogicalPlan::DescribeTable(_) => {
                DefaultPhysicalPlanner::default().create_physical_plan(plan, session).await
            }
            LogicalPlan::Copy(copy) => {
                let plan = match in_parts(copy)? {
                    Some(parts) => {
                        parts.make_room(session.runtime_env(), false).await.map_err(external)?;
                        save(copy.input.as_ref().clone(), parts)
                    }
                    None => plan.clone(),
                };
                self.send(&plan, session).await
            }
            _ => self.send(plan, session).await,
        }
    }
}

fn external(error: imbed_core::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The parts that `copy` is to be written as, if it names a folder.
///
/// One file is written by one task, which a second try replaces. In a folder, DataFusion calls files by names of chance, and a second
/// try would double rows: so only what can be written in parts is.
fn in_parts(copy: &CopyTo) -> PlanResult<Option<Parts>> {
    if !copy.output_url.ends_with('/') {
        return Ok(None);
    }
    if !copy.partition_by.is_empty() || copy.file_type.get_ext() != "parquet" {
        return plan_err!(
            "on a cluster a folder is written as Parquet, without PARTITIONED BY.\n\
             End the statement with STORED AS PARQUET, or name one file"
        );
    }
    Parts::new(&copy.output_url).map(Some).map_err(external)
}
