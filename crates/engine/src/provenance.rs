//! What the output column says about who made it.

use imbed_core::{EmbedOptions, ImageEmbedderDescriptor, Result, arrow::Provenance};
use serde_json::{Map, Value};

use crate::finish::unit_length;

/// Options that change a vector; the others change only how a run goes.
const CHANGE_VECTORS: &[&str] =
    &["dtype", "normalize", "dimensions", "pooling", "image_size", "alpha", "exif_orientation", "icc", "frame"];

/// The provenance of `descriptor`'s vectors. Reads the weights to hash them.
pub(crate) fn provenance(descriptor: &dyn ImageEmbedderDescriptor) -> Result<Provenance> {
    Ok(Provenance {
        provider: descriptor.provider().to_owned(),
        model: descriptor.model().to_owned(),
        normalized: unit_length(descriptor),
        weights: descriptor.weights_hash()?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        options: changed(descriptor.options())?,
    })
}

/// The options that change a vector and are not at their default, and all of the provider's own, by name: so that they can
/// be passed as options again.
fn changed(options: &EmbedOptions) -> Result<Map<String, Value>> {
    let fields = |options: &EmbedOptions| {
        serde_json::to_value(options).map_err(|e| {
            imbed_core::Error::new(imbed_core::ErrorKind::Internal, format!("options cannot be serialised: {e}"))
        })
    };
    let (given, default) = (fields(options)?, fields(&EmbedOptions::default())?);
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
        let options = OptionMap::from_iter([("batch_size", "3"), ("alpha", "white"), ("on_error", "log")]);
        let recorded = changed(&options.read(&[]).unwrap()).unwrap();
        assert_eq!(Value::Object(recorded), serde_json::json!({ "alpha": "white" }));
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
