//! What the rows of a part come from, as a hash: who would write the same rows of the same files finds the part done.
//!
//! It is taken from a task's own plan, which names what was listed when the query was planned: paths, sizes and times of change. They
//! were looked at before a file is read, so a file that changes in the meantime has another hash the next time.

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use datafusion::{
    catalog::memory::{DataSourceExec, MemorySourceConfig},
    datasource::physical_plan::FileScanConfig,
    error::Result,
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, repartition::RepartitionExec, union::UnionExec},
};

/// Of `partition` of `plan`, of which `made` says all that decides its rows beside the files; `None` where the plan does not tell which files
/// those are, such as behind an exchange of rows.
pub(super) fn hash(made: &str, plan: &dyn ExecutionPlan, partition: usize) -> Result<Option<String>> {
    let mut words = Words::default();
    words.add(made);
    Ok(if words.add_sources(plan, partition)? { Some(words.0.finalize().to_hex().to_string()) } else { None })
}

/// A hash of words, which are told apart by their lengths.
#[derive(Default)]
struct Words(blake3::Hasher);

impl Words {
    fn add(&mut self, word: impl AsRef<[u8]>) {
        let word = word.as_ref();
        self.0.update(&(word.len() as u64).to_le_bytes()).update(word);
    }

    /// No word, which is none of any length either.
    fn add_null(&mut self) {
        self.0.update(&u64::MAX.to_le_bytes());
    }

    fn add_number(&mut self, number: impl Into<i128>) {
        self.add(number.into().to_le_bytes());
    }

    /// Adds what `partition` of `plan` reads; false if that is not known.
    fn add_sources(&mut self, plan: &dyn ExecutionPlan, partition: usize) -> Result<bool> {
        if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
            return self.add_source(source, partition);
        }
        if let Some(union) = plan.downcast_ref::<UnionExec>() {
            let mut before = 0;
            for (number, input) in union.inputs().iter().enumerate() {
                let count = input.output_partitioning().partition_count();
                if partition < before + count {
                    self.add_number(number as u64);
                    return self.add_sources(input.as_ref(), partition - before);
                }
                before += count;
            }
            return Ok(false);
        }
        // What takes rows as they come leaves them in their partition.
        let count = plan.output_partitioning().partition_count();
        match plan.children()[..] {
            [input]
                if input.output_partitioning().partition_count() == count
                    && plan.downcast_ref::<RepartitionExec>().is_none() =>
            {
                self.add_sources(input.as_ref(), partition)
            }
            _ => Ok(false),
        }
    }

    fn add_source(&mut self, source: &DataSourceExec, partition: usize) -> Result<bool> {
        let source = source.data_source();
        if let Some(files) = source.downcast_ref::<FileScanConfig>() {
            let Some(group) = files.file_groups.get(partition) else { return Ok(false) };
            self.add(files.object_store_url.as_str());
            for file in group.files() {
                let object = &file.object_meta;
                self.add(object.location.as_ref());
                self.add_number(object.size);
                self.add_number(object.last_modified.timestamp_nanos_opt().unwrap_or_default());
                if let Some(range) = &file.range {
                    self.add_number(range.start);
                    self.add_number(range.end);
                }
            }
            return Ok(true);
        }
        if let Some(rows) = source.downcast_ref::<MemorySourceConfig>() {
            let Some(batches) = rows.partitions().get(partition) else { return Ok(false) };
            batches.iter().try_for_each(|batch| self.add_rows(batch))?;
            return Ok(true);
        }
        Ok(false)
    }

    fn add_rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = FormatOptions::default();
        for column in batch.columns() {
            let shown = ArrayFormatter::try_new(column.as_ref(), &options)?;
            for row in 0..batch.num_rows() {
                if column.is_null(row) {
                    self.add_null();
                } else {
                    self.add(shown.value(row).to_string());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};
    use datafusion::{
        physical_expr::Partitioning,
        physical_plan::{coalesce_partitions::CoalescePartitionsExec, filter::FilterExec},
        prelude::{ParquetReadOptions, SessionContext, lit},
    };

    use super::*;

    fn listed(partitions: &[&[(&str, Option<i64>)]]) -> Arc<dyn ExecutionPlan> {
        let batch = |rows: &&[(&str, Option<i64>)]| {
            let paths = StringArray::from_iter_values(rows.iter().map(|(path, _)| *path));
            let sizes: Int64Array = rows.iter().map(|(_, size)| *size).collect();
            vec![RecordBatch::try_from_iter([("path", Arc::new(paths) as _), ("size", Arc::new(sizes) as _)]).unwrap()]
        };
        let partitions: Vec<_> = partitions.iter().map(batch).collect();
        let schema = partitions[0][0].schema();
        MemorySourceConfig::try_new_exec(&partitions, schema, None).unwrap()
    }

    fn of(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Option<String> {
        hash("made", plan.as_ref(), partition).unwrap()
    }

    #[test]
    fn a_partition_is_known_by_its_own_rows() {
        let plan = listed(&[&[("a", Some(1)), ("b", None)], &[("c", Some(3))]]);
        let hashes = [of(&plan, 0).unwrap(), of(&plan, 1).unwrap()];
        assert_ne!(hashes[0], hashes[1]);
        assert_ne!(hash("otherwise", plan.as_ref(), 0).unwrap(), Some(hashes[0].clone()));
        // The same files, of a longer list.
        let longer = listed(&[&[("a", Some(1)), ("b", None)], &[("c", Some(3)), ("d", Some(4))]]);
        assert_eq!(of(&longer, 0).as_ref(), Some(&hashes[0]));
        assert_ne!(of(&longer, 1).as_ref(), Some(&hashes[1]));
        for other in [
            listed(&[&[("a", Some(2)), ("b", None)]]),
            listed(&[&[("a", Some(1)), ("b", Some(0))]]),
            listed(&[&[("b", Some(1)), ("a", None)]]),
            listed(&[&[("ab", Some(1)), ("", None)]]),
        ] {
            assert_ne!(of(&other, 0).as_ref(), Some(&hashes[0]));
        }
        assert_eq!(of(&plan, 2), None);
    }

    #[test]
    fn what_exchanges_rows_is_not_known() {
        let plan = listed(&[&[("a", Some(1))], &[("b", Some(2))]]);
        let kept = Arc::new(
            FilterExec::try_new(datafusion::physical_expr::expressions::lit(true), Arc::clone(&plan)).unwrap(),
        );
        assert_eq!(of(&(kept as _), 1), of(&plan, 1));
        let united = UnionExec::try_new(vec![Arc::clone(&plan), Arc::clone(&plan)]).unwrap();
        let of_union: Vec<_> = (0..4).map(|partition| of(&united, partition).unwrap()).collect();
        assert!(of_union[0] != of_union[2] && of_union[0] != of_union[1]);
        let gathered: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(Arc::clone(&plan)));
        assert_eq!(of(&gathered, 0), None);
        let dealt = RepartitionExec::try_new(plan, Partitioning::RoundRobinBatch(2)).unwrap();
        assert_eq!(of(&(Arc::new(dealt) as _), 0), None);
    }

    #[tokio::test]
    async fn a_file_that_changes_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.parquet");
        let write = |rows: i64| {
            let ids = Arc::new(Int64Array::from_iter_values(0..rows)) as _;
            let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
            let file = std::fs::File::create(&file).unwrap();
            let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        };
        let planned = async || {
            let context = SessionContext::new();
            let table = context.read_parquet(file.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
            of(&table.filter(lit(true)).unwrap().create_physical_plan().await.unwrap(), 0).unwrap()
        };
        write(10);
        let (before, again) = (planned().await, planned().await);
        assert_eq!(before, again);
        write(2000);
        assert_ne!(planned().await, before);
    }
}
