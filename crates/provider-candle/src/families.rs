//! The families of models: how each one's config and tensor names map onto the shared parts.
//!
//! To add one: a file here with `describe` and `load`, a variant of `Family`, and a line in each `match` below.

mod clip;
mod config;
mod reader;
mod tiny;
mod vit;

use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde_json::Value;

use crate::{
    architecture::{Architecture, Family, StemShape},
    model::VisionTransformer,
    weights::Checkpoint,
};

/// Every `model_type` that is known.
const MODEL_TYPES: &[(&str, Family)] =
    &[("clip", Family::Clip), ("clip_vision_model", Family::Clip), ("vit", Family::Vit), ("imbed_tiny", Family::Tiny)];

/// The architecture that `config` describes, with the pooling that the user chose.
///
/// `has_tensor` says whether the weights hold a tensor of a name: some parts are there or not, and no config tells.
pub(crate) fn describe(
    config: &Value,
    has_tensor: &dyn Fn(&str) -> bool,
    pooling: Option<Pooling>,
) -> Result<Architecture> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let known = MODEL_TYPES.iter().find(|(name, _)| *name == model_type);
    let Some((_, family)) = known else {
        let names: Vec<&str> = MODEL_TYPES.iter().map(|(name, _)| *name).filter(|name| *name != "imbed_tiny").collect();
        let message = match model_type {
            "" => "config.json has no model_type".to_owned(),
            other => format!("config.json has the model_type '{other}', which this provider does not know"),
        };
        return Err(Error::new(ErrorKind::UnknownModel, message).hint(format!("known: {}", names.join(", "))));
    };
    let architecture = match family {
        Family::Clip => clip::describe(config, has_tensor, pooling),
        Family::Vit => vit::describe(config, has_tensor, pooling),
        Family::Tiny => tiny::describe(config, pooling),
    }?;
    architecture.checked()
}

/// Reads the weights that `architecture` needs, and refuses those that nothing explains.
pub(crate) fn load(architecture: &Architecture, checkpoint: Checkpoint) -> Result<VisionTransformer> {
    match (architecture.family, &architecture.stem) {
        (Family::Clip, StemShape::Patches(rows, columns)) => clip::load(architecture, (*rows, *columns), checkpoint),
        (Family::Vit, StemShape::Patches(rows, columns)) => vit::load(architecture, (*rows, *columns), checkpoint),
        (Family::Tiny, StemShape::Convolutions(stages)) => tiny::load(architecture, stages, checkpoint),
        (family, stem) => Err(Error::new(ErrorKind::Internal, format!("{family:?} cannot have the stem {stem:?}"))),
    }
}

/// The error for a pooling chosen where `what` leaves no choice, or not this one.
fn no_such_pooling(what: &str, pooling: Pooling, poolings: &[Pooling]) -> Error {
    let hint = if poolings.is_empty() {
        "leave the option pooling out".to_owned()
    } else {
        let names: Vec<String> = poolings.iter().map(ToString::to_string).collect();
        format!("poolings of this model: {}", names.join(", "))
    };
    Error::new(ErrorKind::BadOption, format!("pooling '{pooling}' cannot be had from {what}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_model_type_is_named_beside_the_known_ones() {
        for (config, named) in [(json!({"model_type": "convnextv3"}), "'convnextv3'"), (json!({}), "no model_type")] {
            let error = describe(&config, &|_| false, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownModel);
            assert!(error.message().contains(named), "{error}");
            assert!(error.hint_text().unwrap().contains("clip, clip_vision_model, vit"));
        }
    }

    #[test]
    fn a_number_of_the_wrong_type_is_named() {
        let config = json!({"model_type": "vit", "hidden_size": "wide"});
        let error = describe(&config, &|_| false, None).unwrap_err();
        assert!(error.message().contains("hidden_size") && error.message().contains("wide"), "{error}");
    }

    #[test]
    fn an_unknown_activation_is_an_error_and_not_a_default() {
        let config = json!({"model_type": "vit", "hidden_act": "mish"});
        assert!(describe(&config, &|_| false, None).unwrap_err().message().contains("mish"));
    }
}
