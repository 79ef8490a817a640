//! What the output column says about who made it.

use imbed_core::{EmbedOptions, Error, ErrorKind, ImageEmbedderDescriptor, Result, arrow::Provenance};
use serde_json::{Map, Value};

use crate::finish::unit_length;

/// Options that change a vector; the others change only how a run goes.
const CHANGE_VECTORS: &[&str] = &[
    "dtype",
    "normalize",
    "dimensions",
    "pooling",
    "image_size",
    "alpha",
    "exif_orientation",
    "icc",
    "frame",
    "decode",
];

/// The provenance of `descriptor`'s vectors. Reads the weights if they are to be hashed.
pub(crate) fn provenance(descriptor: &dyn ImageEmbedderDescriptor, hash_weights: bool) -> Result<Provenance> {
    Ok(Provenance {
        provider: descriptor.provider().to_owned(),
        model: descriptor.model().to_owned(),
        normalized: unit_length(descriptor),
        weights: if hash_weights { descriptor.weights_hash()? } else { None },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        options: changed(descriptor.options())?,
        recipe: recipe(descriptor)?,
    })
}

/// The preprocessing, and what the provider adds to it.
fn recipe(descriptor: &dyn ImageEmbedderDescriptor) -> Result<Map<String, Value>> {
    let mut recipe = descriptor.recipe()?;
    recipe.insert("input".to_owned(), serialised(descriptor.input())?);
    Ok(recipe)
}

fn serialised(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| {
        Error::new(ErrorKind::Internal, format!("what made the vectors cannot be recorded: {e}")).source(e)
    })
}

/// The options that change a vector and are not at their default, and all of the provider's own, by name: so that they can
/// be passed as options again.
fn changed(options: &EmbedOptions) -> Result<Map<String, Value>> {
    let (given, default) = (serialised(options)?, serialised(&EmbedOptions::default())?);
    let differs = |name: &&&str| given[**name] != default[**name];
    let common = CHANGE_VECTORS.iter().filter(differs).map(|name| ((*name).to_owned(), given[*name].clone()));
    Ok(common.chain(options.extra.clone()).collect())
}

#[cfg(test)]
mod tests {
    use imbed_core::options::{OptionMap, OptionSpec};

    use super::*;

    #[test]
    fn only_options_that_change_vectors_are_recorded() {
        let own = OptionSpec { name: "dialect", values: "any", summary: "" };
        let options =
            OptionMap::from_iter([("batch_size", "3"), ("alpha", "white"), ("on_error", "log"), ("dialect", "x")]);
        let recorded = changed(&options.read(&[own]).unwrap()).unwrap();
        assert_eq!(Value::Object(recorded), serde_json::json!({ "alpha": "white", "dialect": "x" }));
    }

    #[test]
    fn a_providers_own_options_are_recorded_by_name_and_can_be_read_again() {
        let specs = [OptionSpec { name: "output", values: "a name", summary: "" }];
        let options = OptionMap::from_iter([("output", "features")]).read(&specs).unwrap();
        let recorded = changed(&options).unwrap();
        assert_eq!(recorded["output"], "features");
        let mut again = OptionMap::default();
        again.lay_over(recorded);
        assert_eq!(again.read(&specs).unwrap(), options);
    }
}
