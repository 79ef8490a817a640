//! The functions as expressions for data frames.
//!
//! ```no_run
//! use datafusion::prelude::*;
//! use imbed_core::Session;
//! use imbed_datafusion::{ImageContext, Imbed, expr::*};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Imbed::new(Session::from_environment()?).context();
//! let table = context
//!     .read_images("photos/**")
//!     .await?
//!     .with_column(
//!         "embedding",
//!         embed_image(resize_image(convert_image(decode_image(col("image")), "RGB"), 288, 288))
//!             .model("openai/clip-vit-base-patch32")
//!             .build(),
//!     )?;
//! # Ok(())
//! # }
//! ```
//!
//! Arguments that may be left out are given through [`call`].

use std::sync::{Arc, LazyLock};

use datafusion::{
    common::plan_err,
    error::Result as PlanResult,
    logical_expr::{Expr, ScalarUDF, lit},
    scalar::ScalarValue,
};
use serde_json::{Map, Value};

use crate::{context::default_models, functions};

static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| functions::all(&default_models()));

/// A call of the function `name`: `arguments` in order, then `named` ones.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use imbed_datafusion::expr::call;
///
/// let image = call("decode_image", [col("image")], [("mode", lit("RGB")), ("on_error", lit("ignore"))])?;
/// assert_eq!(image.to_string(), r#"decode_image(image, Utf8("RGB"), Utf8("ignore"))"#);
/// assert!(call("decode_image", [col("image")], [("colour", lit("RGB"))]).is_err());
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
pub fn call<'a>(
    name: &str,
    arguments: impl IntoIterator<Item = Expr>,
    named: impl IntoIterator<Item = (&'a str, Expr)>,
) -> PlanResult<Expr> {
    let Some(function) = FUNCTIONS.iter().find(|function| function.name() == name) else {
        let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name()).collect();
        return plan_err!("there is no function '{name}' of imbed; there are {}", names.join(", "));
    };
    let parameters = function.signature().parameter_names.as_deref().unwrap_or_default();
    let mut all: Vec<Option<Expr>> = arguments.into_iter().map(Some).collect();
    for (parameter, value) in named {
        let Some(index) = parameters.iter().position(|p| p == parameter) else {
            return plan_err!("{name} has no argument '{parameter}'; it has {}", parameters.join(", "));
        };
        if all.len() <= index {
            all.resize(index + 1, None);
        }
        all[index] = Some(value);
    }
    let null = || Expr::Literal(ScalarValue::Null, None);
    Ok(function.call(all.into_iter().map(|value| value.unwrap_or_else(null)).collect()))
}

/// A call without arguments that may be left out.
fn plain(name: &str, arguments: Vec<Expr>) -> Expr {
    match FUNCTIONS.iter().find(|function| function.name() == name) {
        Some(function) => function.call(arguments),
        // The names stand below, and a test calls each.
        None => Expr::Literal(ScalarValue::Null, None),
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),+);)+) => {$(
        $(#[$doc])*
        pub fn $name($($argument: $type),+) -> Expr {
            plain(stringify!($name), vec![$(IntoArgument::into_argument($argument)),+])
        }
    )+

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

/// What an argument may be in Rust.
trait IntoArgument {
    fn into_argument(self) -> Expr;
}

impl IntoArgument for Expr {
    fn into_argument(self) -> Expr {
        self
    }
}

impl IntoArgument for &str {
    fn into_argument(self) -> Expr {
        lit(self)
    }
}

impl IntoArgument for u32 {
    fn into_argument(self) -> Expr {
        lit(i64::from(self))
    }
}

functions! {
    /// Decodes image files.
    decode_image(image: Expr);
    /// Converts decoded images to a mode, such as `RGB`.
    convert_image(image: Expr, mode: &str);
    /// Resizes decoded images to exactly this size.
    resize_image(image: Expr, width: u32, height: u32);
    /// Cuts a rectangle out of decoded images; the numbers may be columns.
    crop_image(image: Expr, x: Expr, y: Expr, width: Expr, height: Expr);
    /// Encodes decoded images as files of a format, such as `png`.
    encode_image(image: Expr, format: &str);
    /// The width of decoded images.
    image_width(image: Expr);
    /// The height of decoded images.
    image_height(image: Expr);
    /// The number of channels of decoded images.
    image_channels(image: Expr);
    /// The mode of decoded images.
    image_mode(image: Expr);
    /// The cosine of the angle between two vectors.
    cosine_similarity(a: Expr, b: Expr);
    /// 1 minus the cosine of the angle between two vectors.
    cosine_distance(a: Expr, b: Expr);
    /// The inner product of two vectors.
    dot_product(a: Expr, b: Expr);
    /// The Euclidean distance of two vectors.
    euclidean_distance(a: Expr, b: Expr);
    /// Vectors scaled to unit length.
    l2_normalize(vector: Expr);
}

/// Embeds images. The model is that of the environment, of `imbed.toml` or the built-in one, unless
/// [`EmbedImageBuilder::model`] names one.
pub fn embed_image(image: Expr) -> EmbedImageBuilder {
    EmbedImageBuilder { image, provider: None, model: None, options: Map::new() }
}

/// A call of `embed_image` in the making.
#[derive(Debug, Clone)]
pub struct EmbedImageBuilder {
    image: Expr,
    provider: Option<String>,
    model: Option<String>,
    options: Map<String, Value>,
}

impl EmbedImageBuilder {
    /// The model: a folder, a name on the hub, or the name of a built-in model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The provider that runs it.
    #[must_use]
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// An option by name; one that nobody knows is an error when the query is planned.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// The expression.
    pub fn build(self) -> Expr {
        let text = |text: Option<String>| Expr::Literal(ScalarValue::Utf8(text), None);
        let options = (!self.options.is_empty()).then(|| Value::Object(self.options).to_string());
        let arguments = vec![self.image, text(self.model), text(self.provider), text(options)];
        plain("embed_image", arguments)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn every_function_has_its_builder_and_every_builder_its_function() {
        let mut names: Vec<&str> = NAMES.iter().copied().chain(["embed_image"]).collect();
        let mut registered: Vec<&str> = FUNCTIONS.iter().map(|function| function.name()).collect();
        names.sort_unstable();
        registered.sort_unstable();
        assert_eq!(names, registered);
    }

    #[test]
    fn options_become_one_object() {
        let expr =
            embed_image(col("image")).model("imbed/tiny").option("normalize", true).option("batch_size", 4).build();
        assert_eq!(
            expr.to_string(),
            r#"embed_image(image, Utf8("imbed/tiny"), Utf8(NULL), Utf8("{"batch_size":4,"normalize":true}"))"#
        );
    }
}
