//! The table as plans see it.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    error::Result as PlanResult,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use imbed_core::{Result, options::OnError};

use super::{SCHEMA, exec::ImagesExec, filter, place::Place};

/// The images that one place means.
#[derive(Debug, Clone)]
pub(crate) struct ImagesTable {
    pub(crate) place: Place,
    pub(crate) on_error: OnError,
}

impl ImagesTable {
    /// An error if there is no such place on this machine. Nothing is listed yet, and no store is asked.
    pub(crate) fn new(place: &str, on_error: OnError) -> Result<Self> {
        Ok(Self { place: Place::new(place)?, on_error })
    }
}

#[async_trait]
impl TableProvider for ImagesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if filter::is_listed(filter) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let filter = filter::plan(state, filters)?;
        Ok(Arc::new(ImagesExec::new(self.clone(), projection, filter, limit)?))
    }
}
