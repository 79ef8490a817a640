//! What client, scheduler and executors agree on.

use std::sync::Arc;

use ballista_core::{
    config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, extension::SessionConfigExt,
    optimizer::ballista_default_optimizer_rules,
};
use datafusion::{
    execution::{SessionState, SessionStateBuilder},
    prelude::SessionConfig,
};
use imbed_core::{Registry, Session};
use imbed_datafusion::Imbed;

use crate::{
    codec::{LogicalCodec, PhysicalCodec},
    planner::Planner,
};

/// A file of less than this is not dealt out to several partitions: embedding takes far longer than reading, so it is small.
const LEAST_SCAN: usize = 256 << 10;

/// The settings of all sessions. They travel with each query.
pub(crate) fn config() -> SessionConfig {
    fixed(SessionConfig::new_with_ballista())
        .with_ballista_logical_extension_codec(Arc::new(LogicalCodec::default()))
        .with_ballista_physical_extension_codec(Arc::new(PhysicalCodec::default()))
        // What made a column of vectors stands in its metadata.
        .set_bool("datafusion.execution.parquet.skip_metadata", false)
        .set_usize("datafusion.optimizer.repartition_file_min_size", LEAST_SCAN)
}

/// Those that must hold whatever a client says.
fn fixed(config: SessionConfig) -> SessionConfig {
    // The static planner hands out the results of the last stage that an executor has lost beside those that took their place.
    let config = config.with_ballista_adaptive_query_planner(true);
    // A task is a partition: what an executor loses when it dies is small, and slots are counted right.
    config.set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1)
}

/// A session of the scheduler, for one query with the settings of its client.
///
/// It reads no configuration and knows models only from the plans that arrive.
pub(crate) fn scheduler_state(config: SessionConfig) -> SessionState {
    let imbed = Imbed::new(Session::new(Registry::linked())).with_spread(true);
    let builder = SessionStateBuilder::new()
        .with_default_features()
        .with_config(fixed(config))
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_query_planner(Arc::new(Planner::new(imbed.rules())));
    imbed.install(builder).build()
}
