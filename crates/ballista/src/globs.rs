//! Tables that are named by a pattern, `s3://bucket/shard-*.parquet`, travel as the files that it matches.
//!
//! A plan on the wire says where a table's files are, but not the pattern that chooses among them: the scheduler would read all that
//! stands in the pattern's folder.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::Schema;
use datafusion::{
    catalog::Session,
    common::{
        exec_datafusion_err,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::{
        TableProvider,
        listing::{ListingTable, ListingTableConfig, ListingTableUrl},
        provider_as_source, source_as_provider,
    },
    error::Result,
    logical_expr::{LogicalPlan, TableScan},
};
use futures::TryStreamExt;
use url::Url;

/// `plan` with the files that patterns match in their place.
pub(crate) async fn spelled_out(plan: &LogicalPlan, session: &dyn Session) -> Result<LogicalPlan> {
    let mut tables: HashMap<usize, Arc<dyn TableProvider>> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let table = source_as_provider(&scan.source)?;
            if table.downcast_ref::<ListingTable>().is_some_and(has_pattern) {
                tables.insert(place(&table), table);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if tables.is_empty() {
        return Ok(plan.clone());
    }
    let mut whole = HashMap::new();
    for (place, table) in &tables {
        if let Some(table) = table.downcast_ref::<ListingTable>() {
            whole.insert(*place, provider_as_source(Arc::new(listed(table, session).await?)));
        }
    }
    let replaced = plan.clone().transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => match whole.get(&place(&source_as_provider(&scan.source)?)) {
            Some(source) => {
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source: Arc::clone(source), ..scan })))
            }
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        },
        node => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}

/// What tells one table from another.
fn place(table: &Arc<dyn TableProvider>) -> usize {
    Arc::as_ptr(table).cast::<()>() as usize
}

fn has_pattern(table: &ListingTable) -> bool {
    table.table_paths().iter().any(|path| path.get_glob().is_some())
}

/// `table` with each pattern's files.
async fn listed(table: &ListingTable, session: &dyn Session) -> Result<ListingTable> {
    let options = table.options();
    let mut paths = Vec::new();
    for path in table.table_paths() {
        if path.get_glob().is_none() {
            paths.push(path.clone());
            continue;
        }
        let root = path.object_store();
        let store = session.runtime_env().object_store(&root)?;
        let files = path.list_all_files(session, store.as_ref(), &options.file_extension).await?;
        let files: Vec<_> = files.try_collect().await?;
        for file in files {
            paths.push(ListingTableUrl::parse(address(root.as_str(), file.location.as_ref())?)?);
        }
    }
    let is_partition = |name: &str| options.table_partition_cols.iter().any(|(column, _)| column == name);
    let schema = table.schema();
    let fields: Vec<_> = schema.fields().iter().filter(|field| !is_partition(field.name())).cloned().collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let config = ListingTableConfig::new_with_multi_paths(paths);
    ListingTable::try_new(config.with_listing_options(options.clone()).with_schema(Arc::new(schema)))
}

/// The URL of the file `location` in the store `root`.
fn address(root: &str, location: &str) -> Result<String> {
    let mut url = Url::parse(root).map_err(|e| exec_datafusion_err!("{root} is no place of files: {e}"))?;
    // A path of a URL leaves a percent sign as it is.
    url.set_path(&location.replace('%', "%25"));
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
    use arrow_schema::{DataType, Field};
    use datafusion::prelude::{ParquetReadOptions, SessionContext};

    use super::*;

    fn write(path: &std::path::Path, number: i64) {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![number]))]).unwrap();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[tokio::test]
    async fn a_pattern_becomes_the_files_that_it_matches_and_they_give_the_same_rows() {
        let folder = tempfile::tempdir().unwrap();
        for (name, number) in [("a 1.parquet", 1), ("a%2.parquet", 2), ("b.parquet", 4)] {
            write(&folder.path().join(name), number);
        }
        let context = SessionContext::new();
        let pattern = folder.path().join("a*.parquet");
        context.register_parquet("t", pattern.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        let query = "SELECT sum(n) FROM t WHERE n IN (SELECT n FROM t)";
        let plan = context.sql(query).await.unwrap().into_optimized_plan().unwrap();
        let plan = spelled_out(&plan, &context.state()).await.unwrap();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let table = source_as_provider(&scan.source)?;
                let table = table.downcast_ref::<ListingTable>().unwrap();
                assert!(!has_pattern(table));
                assert_eq!(table.table_paths().len(), 2);
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        let batches = context.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 3);
    }
}
