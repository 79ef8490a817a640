//! The functions of imbed on a [Ballista](https://datafusion.apache.org/ballista/) cluster: the same queries, on many machines.
//!
//! ```text
//!   client                      scheduler                         executors
//!   decides models,   --plan--> lists files, deals them  --tasks-> read, embed, write parts
//!   binds calls                 out, watches executors   <-status- one pipeline per model and process
//!        <-------------------------- results, straight from the executors
//! ```
//!
//! [`Scheduler`] and [`Executor`] are the two programs, [`connect`] gives a session of DataFusion whose queries run on them, and
//! [`save_parts`] writes a table as a folder of Parquet files, each exactly once.
//!
//! What a query means is decided by the client: a call of `embed_image` travels with its model, its options and the hash of its
//! weights, and nobody else's configuration counts. Secrets do not travel; executors read their own environment.

mod cancel;
mod client;
mod codec;
mod executor;
mod globs;
mod numbering;
mod planner;
#[cfg(test)]
mod plans_travel;
mod save;
mod scheduler;
mod session;
mod stop;
mod told;

pub use client::{Cluster, connect};
pub use codec::{LogicalCodec, PhysicalCodec};
pub use executor::{Executor, ExecutorOptions, Gpus};
pub use save::{Parts, save_parts};
pub use scheduler::{Scheduler, SchedulerOptions};
pub use stop::told_to_stop;
