//! How this crate's functions, tables and plan nodes travel between processes: what the codecs of an engine over many machines
//! call for whatever they do not know.
//!
//! A session that sends plans is made with [`Imbed::install_to_send`](crate::Imbed::install_to_send), the others with
//! [`Imbed::install`](crate::Imbed::install). Everything is JSON. What a call of `embed_image` means travels with it: which
//! provider, model and options, what is to become of rows that fail, and the hash of the weights. Secrets do not: a descriptor
//! holds none, and a call that names one is refused.

use std::sync::Arc;

use arrow_schema::Schema;
use datafusion::{
    catalog::TableProvider,
    common::{internal_datafusion_err, internal_err},
    error::Result as PlanResult,
    logical_expr::ScalarUDF,
    physical_expr::PhysicalExpr,
    physical_plan::ExecutionPlan,
};
use imbed_core::{Error, ErrorKind, Result, options::OnError};
use imbed_engine::Steps;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    bound,
    carried::{Carried, restored, restored_plan},
    embed::{EmbedCall, EmbedExec, Fused},
    error::wrap,
    functions,
    table::{Column, ImagesTable, Place, ReadImagesExec, SpreadImages},
    travelled::{Travelling, working_folder},
};

/// A function of ours.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Function {
    /// `embed_image`, bound to a model.
    Embed(Box<Travelling>),
    /// Another, with the fields of its call.
    Scalar { name: String, fields: Vec<u8> },
}

/// `function`, if it is one of ours and there is more to know of it than its name.
pub fn encode_function(function: &ScalarUDF) -> PlanResult<Option<Vec<u8>>> {
    let function = if let Some(model) = bound::model(function) {
        Function::Embed(Box::new(Travelling::of(&model).map_err(wrap)?))
    } else if let Some(carried) = functions::carried(function) {
        Function::Scalar { name: function.name().to_owned(), fields: carried.to_bytes()? }
    } else {
        return Ok(None);
    };
    to_json(&function).map(Some).map_err(wrap)
}

/// The function that [`encode_function`] gave.
pub fn decode_function(bytes: &[u8]) -> PlanResult<Arc<ScalarUDF>> {
    match from_json(bytes).map_err(wrap)? {
        Function::Embed(model) => Ok(bound::function(&Arc::new(model.arrive().map_err(wrap)?))),
        Function::Scalar { name, fields } => {
            let function = functions::carrying(&name, Arc::new(Carried::from_bytes(&fields)?));
            function.map(Arc::new).ok_or_else(|| internal_datafusion_err!("imbed has no function '{name}'"))
        }
    }
}

/// `plan` as it was before it was sent: the columns that our functions give have their metadata again.
pub fn restore(plan: Arc<dyn ExecutionPlan>) -> PlanResult<Arc<dyn ExecutionPlan>> {
    restored_plan(plan)
}

/// A table of ours.
#[derive(Debug, Serialize, Deserialize)]
struct Table {
    images: String,
    on_error: OnError,
    base: Option<String>,
}

/// `table`, if it is `images(…)`.
///
/// Relative paths start from this process's working folder, wherever they are looked for.
pub fn encode_table(table: &dyn TableProvider) -> PlanResult<Option<Vec<u8>>> {
    let (images, base) = if let Some(images) = table.downcast_ref::<ImagesTable>() {
        (images, Some(working_folder().map_err(wrap)?))
    } else if let Some(spread) = table.downcast_ref::<SpreadImages>() {
        (&spread.table, spread.base.clone())
    } else {
        return Ok(None);
    };
    let table = Table { images: images.place.to_string(), on_error: images.on_error, base };
    to_json(&table).map(Some).map_err(wrap)
}

/// The table that [`encode_table`] gave. Planning a scan of it lists its files and deals them out to as many partitions as the
/// session's `target_partitions` says.
pub fn decode_table(bytes: &[u8]) -> PlanResult<Arc<dyn TableProvider>> {
    let Table { images, on_error, base } = from_json(bytes).map_err(wrap)?;
    let table = ImagesTable { place: Place::elsewhere(&images).map_err(wrap)?, on_error };
    Ok(Arc::new(SpreadImages { table, base }))
}

/// A plan node of ours.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Node {
    Embed { kept: Vec<usize>, calls: Vec<Call> },
    ReadImages { columns: Vec<String>, table: Table },
}

/// One call of `embed_image`.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    /// The name of its column.
    name: String,
    model: Travelling,
    image: Vec<u8>,
    steps: Option<Steps>,
    same_as: Option<usize>,
}

/// `node` without its inputs, if it is one of ours; `expression` encodes the expressions in it.
pub fn encode_node(
    node: &dyn ExecutionPlan,
    mut expression: impl FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<Vec<u8>>,
) -> PlanResult<Option<Vec<u8>>> {
    let node = if let Some(embed) = node.downcast_ref::<EmbedExec>() {
        let schema = embed.schema();
        let names = schema.fields().iter().skip(embed.kept().len());
        let call = |(call, field): (&EmbedCall, &arrow_schema::FieldRef)| {
            Ok(Call {
                name: field.name().clone(),
                model: Travelling::of(&call.model).map_err(wrap)?,
                image: expression(&call.input.image)?,
                steps: call.input.steps.as_deref().cloned(),
                same_as: call.same_as,
            })
        };
        let calls = embed.calls().iter().zip(names).map(call).collect::<PlanResult<_>>()?;
        Node::Embed { kept: embed.kept().to_vec(), calls }
    } else if let Some(read) = node.downcast_ref::<ReadImagesExec>() {
        let (images, on_error, base) = (read.table.place.to_string(), read.table.on_error, read.base.clone());
        Node::ReadImages {
            columns: read.columns.iter().map(|column| column.name().to_owned()).collect(),
            table: Table { images, on_error, base },
        }
    } else {
        return Ok(None);
    };
    to_json(&node).map(Some).map_err(wrap)
}

/// The node that [`encode_node`] gave, over `inputs`; `expression` decodes the expressions in it, over the input's columns.
pub fn decode_node(
    bytes: &[u8],
    inputs: &[Arc<dyn ExecutionPlan>],
    mut expression: impl FnMut(&[u8], &Schema) -> PlanResult<Arc<dyn PhysicalExpr>>,
) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let [input] = inputs else { return internal_err!("a node of imbed has one input, not {}", inputs.len()) };
    match from_json(bytes).map_err(wrap)? {
        Node::Embed { kept, calls } => {
            let schema = input.schema();
            if let Some(missing) = kept.iter().find(|i| **i >= schema.fields().len()) {
                return internal_err!("column {missing} is to be kept, of {}", schema.fields().len());
            }
            let (mut decoded, mut vectors) = (Vec::with_capacity(calls.len()), Vec::with_capacity(calls.len()));
            for Call { name, model, image, steps, same_as } in calls {
                let model = Arc::new(model.arrive().map_err(wrap)?);
                vectors.push(Arc::new(model.field.clone().with_name(name)));
                let input = Fused::again(restored(expression(&image, &schema)?)?.data, &schema, steps)?;
                decoded.push(EmbedCall { model, input, same_as });
            }
            Ok(Arc::new(EmbedExec::try_new(decoded.into(), kept.into(), vectors, Arc::clone(input))?))
        }
        Node::ReadImages { columns, table: Table { images, on_error, base } } => {
            let column = |name: &String| {
                let known = Column::ALL.into_iter().find(|column| column.name() == name);
                known.ok_or_else(|| internal_datafusion_err!("images(…) has no column '{name}'"))
            };
            let columns = columns.iter().map(column).collect::<PlanResult<_>>()?;
            let table = ImagesTable { place: Place::elsewhere(&images).map_err(wrap)?, on_error };
            Ok(Arc::new(ReadImagesExec::new(Arc::clone(input), columns, table, base)))
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("a part of the plan cannot be sent: {e}")).source(e))
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::new(ErrorKind::Config, format!("a part of the plan cannot be read: {e}"))
            .hint("all processes of a cluster must run the same version of imbed")
            .source(e)
    })
}
