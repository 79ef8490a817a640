//! Turns a resolved descriptor into a running pipeline.
//!
//! ```text
//! chunks --> feeder --> prepare workers --> batcher --> model workers --> assembler --> chunks with vectors
//!            budget     read, decode,       in row      one per device,   in input order
//!                       preprocess          order       or requests in flight
//! ```
//!
//! The stages are threads joined by bounded channels, so they overlap and memory does not grow with the table: the feeder
//! waits for the byte budget before it lets more rows in. Rows are put back in order before they are batched,
//! so a batch holds consecutive rows and a run is repeatable. A row that cannot be read is null or stops the run, as
//! [`OnError`](imbed_core::options::OnError) says, and never costs its neighbours. A row whose image an earlier row has takes that row's
//! vector (the option `dedupe`), and one whose image an earlier run has embedded may take it from a folder
//! ([`EngineBuilder::cache`]); neither is decoded. Rows that are addresses wait for them in a stage of their own, between the feeder and
//! the workers, if a front end gives the engine something that fetches ([`Fetch`]).
//!
//! [`Engine`] is the way in: [`Engine::builder`] plans, [`Engine::embed_stream`] and [`Engine::embed_array`] run. Whether the
//! model blocks or is asynchronous, the caller sees the same iterator of [`EmbeddedChunk`]s. What was decided and why is a
//! [`Plan`], which prints. Which [`files`] a folder or a pattern means is decided here too, for all front ends.

mod assemble;
mod batch;
mod budget;
mod cache;
mod cancel;
mod copies;
mod engine;
mod feed;
mod fetch;
pub mod files;
mod fingerprint;
mod finish;
mod gpu;
mod input;
mod load;
mod metrics;
mod model;
mod output;
mod plan;
mod prepare;
mod provenance;
mod report;
mod requests;
mod resources;
mod reuse;
mod rows;
mod steps;
mod stream;

pub use cancel::CancelHandle;
pub use engine::{Embedded, Engine, EngineBuilder};
pub use fetch::{Fetch, Terms, Watch};
pub use gpu::{Allocator, FixedInventory, GpuInventory, Lease, SystemInventory};
pub use input::{Chunk, Images};
pub use metrics::{Latency, MetricsHandle, MetricsSnapshot, QueueDepths};
pub use output::{EmbeddedChunk, RowError};
pub use plan::{Decision, Plan};
pub use resources::Machine;
pub use steps::{Step, Steps};
pub use stream::EmbedStream;
