//! How many rows of an input are read at once: few if they are large.
//!
//! A batch of DataFusion's usual 8192 rows would hold 25 GB of photos.

use datafusion::{
    common::stats::Precision,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        statistics::{StatisticsArgs, StatisticsContext},
    },
};

/// Rows of a batch at most, so that a query that is stopped or limited has not read far ahead.
pub(super) const MAX_ROWS: usize = 256;

/// Rows of a batch where nobody knows how large they are.
const UNKNOWN_ROWS: usize = 64;

/// Bytes of a batch.
const MAX_BYTES: usize = 16 << 20;

/// Bytes on their way in all partitions together, beside those that the engine's own budget counts.
const ALL_BYTES: usize = 256 << 20;

/// How much one partition may read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Rows of a batch.
    pub(super) rows: usize,
    /// Bytes of all batches of the partition.
    pub(super) bytes: usize,
}

impl Bounds {
    /// For the partitions of `input`, by what its statistics say of its rows.
    pub(super) fn of(input: &dyn ExecutionPlan) -> Self {
        Self::new(input.output_partitioning().partition_count(), row_bytes(input))
    }

    fn new(partitions: usize, row_bytes: Option<usize>) -> Self {
        let bytes = ALL_BYTES / partitions.max(1);
        let batch = MAX_BYTES.min(bytes / 4);
        let rows = row_bytes.map_or(UNKNOWN_ROWS, |row| (batch / row.max(1)).clamp(1, MAX_ROWS));
        Self { rows, bytes }
    }
}

/// Bytes of one row on average, where statistics tell.
fn row_bytes(input: &dyn ExecutionPlan) -> Option<usize> {
    let statistics = StatisticsContext::new().compute(input, &StatisticsArgs::new()).ok()?;
    let value = |precision: &Precision<usize>| precision.get_value().copied();
    // Of files of variable length only the columns tell, and the total is their sum where all of them do.
    let columns = statistics.column_statistics.iter().filter_map(|column| value(&column.byte_size)).sum();
    let total = value(&statistics.total_byte_size).unwrap_or(columns).max(columns);
    total.checked_div(value(&statistics.num_rows)?).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_come_in_few_and_many_partitions_share() {
        assert_eq!(Bounds::new(1, Some(3 << 20)), Bounds { rows: 5, bytes: ALL_BYTES });
        assert_eq!(Bounds::new(1, Some(100)).rows, MAX_ROWS);
        assert_eq!(Bounds::new(1, Some(1 << 40)).rows, 1);
        assert_eq!(Bounds::new(1, None).rows, UNKNOWN_ROWS);
        assert_eq!(Bounds::new(64, Some(1 << 18)), Bounds { rows: 4, bytes: ALL_BYTES / 64 });
    }
}
