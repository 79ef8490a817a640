//! `embed_image`: images become vectors.
//!
//! The model is decided when a query is planned, so that the type of the column and what made it are known: configuration is
//! read then, and neither weights nor the network. Where rows are embedded, [`EmbedExec`](crate::embed::EmbedExec) takes the
//! place of the call; a plan that was not optimised calls [`AsyncScalarUDFImpl::invoke_async_with_args`], with the same vectors.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow_schema::{DataType, FieldRef};
use async_trait::async_trait;
use datafusion::{
    common::{internal_err, plan_err},
    error::Result as PlanResult,
    logical_expr::{
        ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
        async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl},
    },
    physical_plan::metrics::Count,
    scalar::ScalarValue,
};
use imbed_core::{
    Result,
    options::{OPTIONS, OptionSpec},
};

use crate::{
    context::default_models,
    embed::{Failures, Source, embed},
    error::wrap,
    function::{Parameter, check_count, documentation, named},
    literals::{Literals, scalars},
    models::{Model, Models, request},
    pipeline::Pipeline,
};

/// Its name in SQL.
pub(crate) const NAME: &str = "embed_image";

const SUMMARY: &str = "Embeds images: each becomes a vector, `FixedSizeList<Float32>`, whose length the model \
     decides. The column's metadata say which model made it. Nulls stay null. Options that only some providers know \
     are given by name too. Without a model named, it is the session's, then that of `imbed.toml` or the \
     environment, then the built-in one.";

const EXAMPLE: &str = "COPY (SELECT path, embed_image(image, model => './clip', normalize => true) AS embedding\n      FROM \
     images('photos/**')) TO 'embeddings.parquet';";

/// The first parameters, before the options.
const LEADING: [Parameter; 4] = [
    Parameter::required(
        "image",
        "image files in a binary column, paths of local files, a structure of `bytes` and `path`, or decoded images",
    ),
    Parameter::optional("model", "the model: a folder, a name on the hub, or a name from `imbed models`"),
    Parameter::optional("provider", "the provider that runs it"),
    Parameter::optional("options", "options by name as a JSON object, such as `'{\"normalize\": true}'`"),
];

pub(crate) struct EmbedImage {
    models: Arc<Models>,
    /// The model that all calls mean, whatever their arguments after the image: where that was decided elsewhere.
    bound: Option<Arc<Model>>,
    parameters: Vec<Parameter>,
    signature: Signature,
    documentation: Documentation,
}

impl EmbedImage {
    pub(crate) fn new(models: Arc<Models>) -> Self {
        let option = |spec: OptionSpec| Parameter::optional(spec.name, spec.summary);
        let documented: Vec<Parameter> = LEADING.into_iter().chain(OPTIONS.iter().copied().map(option)).collect();
        let own = models.option_specs().into_iter().map(option);
        let parameters: Vec<Parameter> = documented.iter().copied().chain(own).collect();
        Self {
            // Not that its vectors change: it is too dear to be copied to where a filter would like to have it.
            signature: named(Signature::variadic_any(Volatility::Volatile), parameters.iter().map(|p| p.name)),
            documentation: documentation(NAME, SUMMARY, &documented, EXAMPLE),
            models,
            bound: None,
            parameters,
        }
    }

    /// The function whose calls mean `model`.
    pub(crate) fn bound(model: Arc<Model>) -> Self {
        Self { bound: Some(model), ..Self::new(default_models()) }
    }

    /// As DataFusion registers it.
    pub(crate) fn udf(models: Arc<Models>) -> ScalarUDF {
        Self::new(models).into_udf()
    }

    /// This function as DataFusion registers it.
    pub(crate) fn into_udf(self) -> ScalarUDF {
        AsyncScalarUDF::new(Arc::new(self)).into_scalar_udf()
    }

    /// The model that a call with these constants means.
    pub(crate) fn model(&self, scalars: &[Option<&ScalarValue>]) -> Result<Arc<Model>> {
        if let Some(model) = &self.bound {
            return Ok(Arc::clone(model));
        }
        let literals = Literals::new(NAME, &self.parameters, scalars.iter().copied());
        let mut single = Vec::new();
        for parameter in &self.parameters[LEADING.len()..] {
            if let Some(text) = literals.text(parameter.name)? {
                single.push((parameter.name, text));
            }
        }
        let json = literals.text("options")?;
        self.models.resolve(&request(literals.text("provider")?, literals.text("model")?, json.as_deref(), single)?)
    }
}

impl EmbedImage {
    /// The names of the arguments that a call with these constants gives, those in `options` too.
    pub(crate) fn arguments(&self, scalars: &[Option<&ScalarValue>]) -> Result<Vec<String>> {
        let given = |value: Option<&ScalarValue>| value.is_none_or(|value| !value.is_null());
        let mut names: Vec<String> =
            self.parameters.iter().zip(scalars).filter(|(_, v)| given(**v)).map(|(p, _)| p.name.to_owned()).collect();
        let literals = Literals::new(NAME, &self.parameters, scalars.iter().copied());
        if let Some(json) = literals.text("options")?
            && let Ok(serde_json::Value::Object(object)) = serde_json::from_str(&json)
        {
            names.extend(object.into_iter().map(|(name, _)| name));
        }
        Ok(names)
    }
}

impl ScalarUDFImpl for EmbedImage {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        plan_err!("the type of {NAME} depends on its arguments")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        check_count(NAME, args.arg_fields.len(), &self.parameters)?;
        let model = Source::of(&args.arg_fields[0]).and_then(|_| self.model(args.scalar_arguments));
        Ok(Arc::new(model.map_err(|e| wrap(e.context(NAME)))?.field.clone()))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        internal_err!("{NAME} is called asynchronously")
    }

    // What DataFusion wraps it in for registration does not pass this on.
    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for EmbedImage {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let scalars = scalars(&args.args);
        let prepare = || -> Result<_> {
            let model = self.model(&scalars)?;
            let producer = Pipeline::of(&model)?.producer()?;
            Ok((Source::of(&args.arg_fields[0])?, model, producer))
        };
        let (source, model, producer) = prepare().map_err(|e| wrap(e.context(NAME)))?;
        let array = args.args[0].to_array(args.number_rows)?;
        let images = source.images(array, &args.arg_fields[0], model.base.as_deref()).map_err(wrap)?;
        let failures =
            Failures { on_error: model.on_error, first_row: 0, place: "of a batch".to_owned(), count: Count::new() };
        let vectors = embed(producer, images, None, &failures, &Count::new()).await.map_err(wrap)?;
        Ok(ColumnarValue::Array(vectors))
    }
}

impl std::fmt::Debug for EmbedImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NAME)
    }
}

// Two are the same if they would decide for the same model: if they share what decides, or if it is decided.
impl PartialEq for EmbedImage {
    fn eq(&self, other: &Self) -> bool {
        match (&self.bound, &other.bound) {
            (Some(a), Some(b)) => a.is_same(b),
            (None, None) => Arc::ptr_eq(&self.models, &other.models),
            _ => false,
        }
    }
}

impl Eq for EmbedImage {}

impl Hash for EmbedImage {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.bound {
            Some(model) => model.key.hash(state),
            None => Arc::as_ptr(&self.models).hash(state),
        }
    }
}
