//! What a configured model can do, as data: the engine plans by it and the conformance suite selects its tests by it.

use serde::{Deserialize, Serialize};

use crate::options::{Dtype, Pooling};

/// What one descriptor's model can and cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Rows of one call at most; `None` where only memory limits it.
    pub max_batch_rows: Option<usize>,
    /// The vectors have unit length as they leave the model.
    pub normalized: bool,
    /// The vectors may be cut to fewer dimensions (trained for it, or the service does it).
    pub dimensions_override: bool,
    /// The same image gives the same bits every time, in any batch.
    pub deterministic: bool,
    /// Poolings to choose from, the default first; empty where there is no choice.
    pub poolings: Vec<Pooling>,
    /// Number types that the arithmetic can run in, the default first.
    pub dtypes: Vec<Dtype>,
    /// Device families that this build of the provider can use: `cpu`, `cuda`, `metal`; the preferred first.
    pub devices: Vec<String>,
}
