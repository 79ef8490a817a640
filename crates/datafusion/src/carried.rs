//! The fields of a call's arguments and result, kept with its function where a plan is sent.
//!
//! On the wire an expression has a type and no metadata, and it is the metadata that say of a column that it holds images.

use std::{io::Cursor, sync::Arc};

use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::{ArrowError, FieldRef, Schema};
use datafusion::{
    common::{
        internal_datafusion_err,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    physical_expr::{PhysicalExpr, ScalarFunctionExpr},
    physical_plan::{
        ExecutionPlan,
        projection::{ProjectionExec, ProjectionExpr},
    },
};

use crate::functions;

/// The fields of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) arguments: Vec<FieldRef>,
    pub(crate) result: FieldRef,
}

impl Carried {
    /// Whether a call with these fields needs them: whether there are metadata to lose.
    pub(crate) fn is_needed(&self) -> bool {
        self.arguments.iter().chain([&self.result]).any(|field| !field.metadata().is_empty())
    }

    /// As the schema of an Arrow IPC stream, the result last.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let fields: Vec<FieldRef> = self.arguments.iter().chain([&self.result]).cloned().collect();
        let write = || -> Result<Vec<u8>, ArrowError> {
            let mut writer = StreamWriter::try_new(Vec::new(), &Schema::new(fields))?;
            writer.finish()?;
            writer.into_inner()
        };
        write().map_err(|e| internal_datafusion_err!("the fields of a call cannot be sent: {e}"))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let schema = StreamReader::try_new(Cursor::new(bytes), None).map(|reader| reader.schema());
        let schema = schema.map_err(|e| internal_datafusion_err!("the fields of a call cannot be read: {e}"))?;
        let (result, arguments) =
            schema.fields().split_last().ok_or_else(|| internal_datafusion_err!("a call has no fields"))?;
        Ok(Self { arguments: arguments.to_vec(), result: Arc::clone(result) })
    }
}

/// `expr`, in which the results of calls have their metadata again.
pub(crate) fn restored(expr: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    expr.transform_up(|expr| {
        let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else { return Ok(Transformed::no(expr)) };
        let Some(carried) = functions::carried(call.fun()) else { return Ok(Transformed::no(expr)) };
        let field = carried.result.as_ref().clone().with_name(call.return_field(&Schema::empty())?.name());
        let call = ScalarFunctionExpr::new(
            call.name(),
            Arc::new(call.fun().clone()),
            call.args().to_vec(),
            Arc::new(field),
            Arc::new(call.config_options().clone()),
        );
        Ok(Transformed::yes(Arc::new(call) as Arc<dyn PhysicalExpr>))
    })
}

/// `plan`, in which the columns that calls give have their metadata again.
pub(crate) fn restored_plan(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let restored = plan.transform_up(|plan| {
        let Some(node) = plan.downcast_ref::<ProjectionExec>() else { return Ok(Transformed::no(plan)) };
        let mut changed = false;
        let mut exprs = Vec::with_capacity(node.expr().len());
        for ProjectionExpr { expr, alias } in node.expr() {
            let expr = restored(Arc::clone(expr))?;
            changed |= expr.transformed;
            exprs.push(ProjectionExpr { expr: expr.data, alias: alias.clone() });
        }
        if !changed {
            return Ok(Transformed::no(plan));
        }
        let node = ProjectionExec::try_new(exprs, Arc::clone(node.input()))?;
        Ok(Transformed::yes(Arc::new(node) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(restored.data)
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::images::Known;

    #[test]
    fn fields_survive_with_their_metadata() {
        let images = Known::of_mode(imbed_core::image::Mode::Rgb16).field("decode_image");
        let carried = Carried {
            arguments: vec![Arc::new(Field::new("image", DataType::Binary, true))],
            result: Arc::new(images),
        };
        assert!(carried.is_needed());
        assert_eq!(Carried::from_bytes(&carried.to_bytes().unwrap()).unwrap(), carried);
        assert!(Carried::from_bytes(b"x").is_err());
    }
}
