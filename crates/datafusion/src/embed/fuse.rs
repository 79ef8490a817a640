//! Image functions below `embed_image` become steps of its pipeline, so that no column of decoded images exists.
//!
//! `embed_image(resize_image(convert_image(decode_image(bytes), 'RGB'), 288, 288))` reads `bytes` and does the rest row by row. The
//! vectors are those of the plan that is not fused, because the steps are the same calls on the same images (but for
//! `decode => 'fast'`, which lets the pipeline decode smaller).

use std::sync::Arc;

use arrow_schema::{FieldRef, Schema};
use datafusion::{
    error::Result as PlanResult,
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, expressions::Literal},
};
use imbed_core::{
    Result,
    image::{DecodeOptions, SampleType},
    options::OnError,
};
use imbed_engine::{Step, Steps};

use super::Source;
use crate::{
    error::wrap,
    function::{Function, Scalar},
    functions::steps::{Convert, ConvertImage, CropImage, Decode, DecodeImage, Resize, ResizeImage, constant_box},
    images::Known,
    literals::Literals,
};

/// Images and what is done to them before the model's own preprocessing.
#[derive(Debug, Clone)]
pub(crate) struct Fused {
    /// What is read.
    pub(crate) image: Arc<dyn PhysicalExpr>,
    pub(crate) field: FieldRef,
    pub(crate) source: Source,
    /// What is done then.
    pub(crate) steps: Option<Arc<Steps>>,
}

/// What one function does, seen from the model downwards.
enum Link {
    Step(Step),
    /// The start of a chain: files, with the steps that follow from how they are decoded.
    Decode(DecodeOptions, Vec<Step>),
}

impl Fused {
    /// `image` taken apart as far as its functions are known, for a call whose rows do `on_error` when they fail.
    pub(super) fn new(image: &Arc<dyn PhysicalExpr>, schema: &Schema, on_error: OnError) -> PlanResult<Self> {
        let mut base = Arc::clone(image);
        let mut decode = DecodeOptions::default();
        let mut steps = Vec::new();
        let mut policy = None;
        while let Some((link, errors, below)) = link(&base).map_err(wrap)? {
            // All steps fail alike, and never stop a query that goes on behind them.
            if policy.is_some_and(|policy| policy != errors) || (errors == OnError::Raise && on_error != OnError::Raise)
            {
                break;
            }
            // What a function takes must be what a pipeline can start from.
            let field = below.return_field(schema)?;
            let decodes = matches!(link, Link::Decode(..));
            if Known::of(&field).is_err() && !(decodes && Source::of(&field).is_ok_and(|s| s == Source::Encoded)) {
                break;
            }
            policy = Some(errors);
            base = below;
            match link {
                Link::Step(step) => steps.push(step),
                Link::Decode(options, first) => {
                    decode = options;
                    steps.extend(first);
                    break;
                }
            }
        }
        let field = base.return_field(schema)?;
        let source = Source::of(&field).map_err(wrap)?;
        steps.reverse();
        let steps = policy.map(|on_error| Arc::new(Steps { decode, then: steps, on_error }));
        Ok(Self { image: base, field, source, steps })
    }

    /// `image`, which is a column of a plan with `schema`, with `steps` that were fused elsewhere.
    pub(crate) fn again(image: Arc<dyn PhysicalExpr>, schema: &Schema, steps: Option<Steps>) -> PlanResult<Self> {
        let field = image.return_field(schema)?;
        let source = Source::of(&field).map_err(wrap)?;
        Ok(Self { image, field, source, steps: steps.map(Arc::new) })
    }
}

/// What a function does to the images of its first argument, what a row does that fails, and that argument.
type Linked = (Link, OnError, Arc<dyn PhysicalExpr>);

/// What `expr` does to the images of its first argument, what a row does that fails, and that argument.
fn link(expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Linked>> {
    let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else { return Ok(None) };
    let Some(below) = call.args().first() else { return Ok(None) };
    let link = if let Some(literals) = literals::<DecodeImage>(call) {
        let decode = Decode::read(&literals)?;
        let first = match decode.mode {
            Some(mode) => Step::Convert { mode, alpha: imbed_core::options::Alpha::Drop },
            None => Step::Samples(SampleType::U8),
        };
        Some((Link::Decode(decode.options, vec![first]), literals))
    } else if let Some(literals) = literals::<ConvertImage>(call) {
        let Convert { mode, alpha } = Convert::read(&literals)?;
        Some((Link::Step(Step::Convert { mode, alpha }), literals))
    } else if let Some(literals) = literals::<ResizeImage>(call) {
        let Resize { size, filter } = Resize::read(&literals)?;
        Some((Link::Step(Step::Resize { size, filter }), literals))
    } else if let Some(literals) = literals::<CropImage>(call) {
        constant_box(&literals)?.map(|rectangle| (Link::Step(Step::Crop(rectangle)), literals))
    } else {
        None
    };
    let Some((link, literals)) = link else { return Ok(None) };
    let on_error = literals.parsed("on_error")?.unwrap_or_default();
    Ok(Some((link, on_error, Arc::clone(below))))
}

/// The constants of `call`, if it is one of `F`.
fn literals<F: Function>(call: &ScalarFunctionExpr) -> Option<Literals<'_>> {
    let scalars = call.args().iter().map(|arg| arg.downcast_ref::<Literal>().map(Literal::value));
    call.fun().inner().is::<Scalar<F>>().then(|| Literals::new(F::NAME, F::PARAMETERS, scalars))
}
