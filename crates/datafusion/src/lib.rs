//! Image and embedding functions for DataFusion: SQL and data frames over columns of images.
//!
//! ```text
//! SELECT path, embed_image(image, model => './clip') AS embedding FROM images('photos/**')
//!
//!   ImagesExec ----batches---> EmbedExec ---> one pipeline per model and process ---> a column of vectors
//!   lists, reads               bounded        read, decode, prepare, model
//!   ahead                      bytes          (imbed-engine)
//! ```
//!
//! [`Imbed`] puts the functions into a session of DataFusion, [`ImageContext`] adds to one what images need, and [`expr`] builds
//! the same calls in Rust. All functions work on columns in the types of [`imbed_core::arrow`], whose extension metadata they keep
//! through plans: what is known of images (their mode, their size) and of vectors (what made them) is known before a row is read.
//!
//! What each function does stands in its documentation, of which [`reference_page`] makes the page `docs/sql-functions.md`.
//! Errors of ours travel inside DataFusion's; [`cause`] finds them.

mod aliases;
mod bound;
mod carried;
mod context;
mod counts;
mod embed;
mod error;
pub mod expr;
mod function;
mod functions;
mod images;
mod literals;
mod models;
mod named;
mod pipeline;
mod reference;
mod statements;
mod stores;
mod table;
mod travelled;
mod vectors;
pub mod wire;

pub use context::{ImageContext, Imbed, config};
pub use counts::ModelCounts;
pub use embed::{embedded_rows, failed_rows};
pub use error::cause;
pub use function::ON_ERROR_HINT;
pub use pipeline::{model_counts, unload_idle_models, use_gpus};
pub use reference::reference_page;
pub use stores::{HeldCopy, Stores, from_store as store_error, hold_copy, is_url, store_table, with_file_tables};

use reference::is_ours;
