//! How plans with functions, tables and nodes of imbed travel: Ballista's own codecs, and ours for what they do not know.
//!
//! What is ours starts with a tag, so that neither takes the other's bytes for its own.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use ballista_core::serde::{BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use datafusion::{
    catalog::TableProvider,
    common::{TableReference, internal_datafusion_err},
    datasource::file_format::FileFormatFactory,
    error::Result,
    execution::TaskContext,
    logical_expr::{AggregateUDF, Extension, LogicalPlan, ScalarUDF, WindowUDF},
    physical_plan::ExecutionPlan,
};
use datafusion_proto::{
    logical_plan::LogicalExtensionCodec,
    physical_plan::{PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension},
    protobuf::PhysicalExprNode,
};
use imbed_datafusion::wire;
use prost::Message;

use crate::save::{SaveParts, SavePartsExec};

/// What our bytes start with.
const TAG: &[u8] = b"imbed\0";

/// The tag of nodes of this crate, after [`TAG`]; those of `imbed-datafusion` have [`THEIRS`].
const OURS: u8 = b's';
const THEIRS: u8 = b'd';

/// Puts `bytes` into `buffer` behind the tags.
fn put(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.extend_from_slice(TAG);
    buffer.push(kind);
    buffer.extend_from_slice(bytes);
}

/// The kind of `buffer` and what is behind its tags, if it is ours.
fn take(buffer: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, bytes) = buffer.strip_prefix(TAG)?.split_first()?;
    Some((*kind, bytes))
}

/// For plans on their way to the scheduler.
#[derive(Debug, Default)]
pub struct LogicalCodec(BallistaLogicalExtensionCodec);

impl LogicalExtensionCodec for LogicalCodec {
    fn try_decode(&self, buf: &[u8], inputs: &[LogicalPlan], ctx: &TaskContext) -> Result<Extension> {
        match take(buf) {
            Some((_, bytes)) => Ok(Extension { node: Arc::new(SaveParts::decode(bytes, inputs)?) }),
            None => self.0.try_decode(buf, inputs, ctx),
        }
    }

    fn try_encode(&self, node: &Extension, buf: &mut Vec<u8>) -> Result<()> {
        match node.node.as_any().downcast_ref::<SaveParts>() {
            Some(save) => {
                put(buf, OURS, &save.encode()?);
                Ok(())
            }
            None => self.0.try_encode(node, buf),
        }
    }

    fn try_decode_table_provider(
        &self,
        buf: &[u8],
        table_ref: &TableReference,
        schema: SchemaRef,
        ctx: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        match take(buf) {
            Some((_, bytes)) => wire::decode_table(bytes),
            None => self.0.try_decode_table_provider(buf, table_ref, schema, ctx),
        }
    }

    fn try_encode_table_provider(
        &self,
        table_ref: &TableReference,
        node: Arc<dyn TableProvider>,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        match wire::encode_table(node.as_ref())? {
            Some(bytes) => {
                put(buf, THEIRS, &bytes);
                Ok(())
            }
            None => self.0.try_encode_table_provider(table_ref, node, buf),
        }
    }

    fn try_decode_file_format(&self, buf: &[u8], ctx: &TaskContext) -> Result<Arc<dyn FileFormatFactory>> {
        self.0.try_decode_file_format(buf, ctx)
    }

    fn try_encode_file_format(&self, buf: &mut Vec<u8>, node: Arc<dyn FileFormatFactory>) -> Result<()> {
        self.0.try_encode_file_format(buf, node)
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        match take(buf) {
            Some((_, bytes)) => wire::decode_function(bytes),
            None => self.0.try_decode_udf(name, buf),
        }
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        match wire::encode_function(node)? {
            Some(bytes) => {
                put(buf, THEIRS, &bytes);
                Ok(())
            }
            None => self.0.try_encode_udf(node, buf),
        }
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.0.try_decode_udaf(name, buf)
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_udaf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.0.try_decode_udwf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_udwf(node, buf)
    }
}

/// For plans on their way to executors.
#[derive(Debug, Default)]
pub struct PhysicalCodec(BallistaPhysicalExtensionCodec);

impl PhysicalExtensionCodec for PhysicalCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match take(buf) {
            Some((OURS, bytes)) => Ok(Arc::new(SavePartsExec::decode(bytes, inputs)?)),
            Some((_, bytes)) => wire::decode_node(bytes, inputs, |bytes, schema| {
                let node = PhysicalExprNode::decode(bytes)
                    .map_err(|e| internal_datafusion_err!("an expression of a plan cannot be read: {e}"))?;
                converter.proto_to_physical_expr(&node, schema, &PhysicalPlanDecodeContext::new(ctx, self))
            }),
            None => self.0.try_decode(buf, inputs, ctx, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(save) = node.downcast_ref::<SavePartsExec>() {
            put(buf, OURS, &save.encode()?);
            return Ok(());
        }
        let encoded = wire::encode_node(node.as_ref(), |expression| {
            Ok(converter.physical_expr_to_proto(expression, self)?.encode_to_vec())
        })?;
        match encoded {
            Some(bytes) => {
                put(buf, THEIRS, &bytes);
                Ok(())
            }
            None => self.0.try_encode(node, buf, converter),
        }
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        match take(buf) {
            Some((_, bytes)) => wire::decode_function(bytes),
            None => self.0.try_decode_udf(name, buf),
        }
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        match wire::encode_function(node)? {
            Some(bytes) => {
                put(buf, THEIRS, &bytes);
                Ok(())
            }
            None => self.0.try_encode_udf(node, buf),
        }
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.0.try_decode_udaf(name, buf)
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_udaf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.0.try_decode_udwf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_udwf(node, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_taken() {
        let mut bytes = Vec::new();
        put(&mut bytes, OURS, b"{}");
        assert_eq!(take(&bytes), Some((OURS, b"{}".as_slice())));
        assert_eq!(take(b"imbed\0"), None);
        assert_eq!(take(b"\x0a\x03abc"), None);
        assert_eq!(take(b""), None);
    }
}
