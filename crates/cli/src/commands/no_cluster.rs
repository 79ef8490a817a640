//! `imbed cluster` and `--cluster` in a program that was built without them.

use imbed::core::{Error, ErrorKind};

use crate::{
    args::{ClusterArgs, EmbedArgs},
    exit::{Failure, Outcome},
};

pub(crate) fn run(_: &ClusterArgs) -> Outcome {
    Err(absent())
}

pub(super) fn embed(_: &EmbedArgs) -> Outcome {
    Err(absent())
}

#[cfg(feature = "sql")]
#[allow(clippy::unused_async)] // As where there are clusters.
pub(super) async fn connect(
    _: &imbed_datafusion::Imbed,
    _: &str,
    _: &crate::args::OnCluster,
) -> Result<datafusion::prelude::SessionContext, Failure> {
    Err(absent())
}

fn absent() -> Failure {
    Failure::Usage(
        Error::new(ErrorKind::Unsupported, "this program was built without clusters")
            .hint("build it with the Cargo feature 'cluster': cargo build --release --features cluster"),
    )
}
