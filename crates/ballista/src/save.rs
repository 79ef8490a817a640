//! A table becomes a folder of Parquet files, one for each partition, each exactly once.
//!
//! A partition's file has the same name whoever writes it and however often, `part-00017.parquet` for the eighteenth. It appears
//! whole or not at all, and a second attempt, after an executor died, finds it done or puts the same rows in its place. So no row is
//! lost or doubled, and what is in the folder at the end is what was asked for.

mod done;
mod node;
mod place;
mod plan;
mod rows;
mod write;

pub use place::Parts;

pub(crate) use node::SaveParts;
pub(crate) use plan::SavePartsExec;

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    logical_expr::{Extension, LogicalPlan},
    prelude::DataFrame,
};

/// What is told of each part.
static SUMMARY: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        // Named and placed as by COPY.
        Field::new("count", DataType::UInt64, false),
        Field::new("failed", DataType::UInt64, false),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("kept", DataType::UInt64, false),
    ]))
});

/// Writes `table` as files in the folder of `parts`, and gives a row for each file: its `count` of rows, how many of them `failed`,
/// its `bytes`, its `path`, and how many rows were `kept` from an earlier run.
///
/// The session must be one of [`connect`](crate::connect).
pub fn save_parts(table: DataFrame, parts: Parts) -> DataFrame {
    let (state, plan) = table.into_parts();
    DataFrame::new(state, save(plan, parts))
}

/// The same as a plan.
pub(crate) fn save(plan: LogicalPlan, parts: Parts) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(SaveParts::new(plan, parts)) })
}
