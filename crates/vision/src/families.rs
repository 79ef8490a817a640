//! The families of models: how each one's config and tensor names map onto the shared parts.
//!
//! To add one: a file here with `describe` and `load`, a variant of `Family`, and a line in each `match` below;
//! `docs/models.md` tells the steps.

mod aimv2;
mod beit;
mod clip;
mod config;
mod dinov2;
mod dinov3;
mod reader;
mod siglip;
mod tiny;
mod vit;

use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde_json::Value;

use crate::{
    Array,
    architecture::{Architecture, Family, PositionShape, Resized, StemShape},
    interpolate::Resample,
    model::VisionTransformer,
    positions::Positions,
    weights::Checkpoint,
};

/// Every `model_type` that is known.
const MODEL_TYPES: &[(&str, Family)] = &[
    ("clip", Family::Clip),
    ("clip_vision_model", Family::Clip),
    ("metaclip_2", Family::Clip),
    ("metaclip_2_vision_model", Family::Clip),
    ("siglip", Family::Siglip),
    ("siglip_vision_model", Family::Siglip),
    ("siglip2", Family::Siglip2),
    ("siglip2_vision_model", Family::Siglip2),
    ("vit", Family::Vit),
    ("deit", Family::Deit),
    ("dinov2", Family::Dinov2),
    ("dinov2_with_registers", Family::Dinov2),
    ("dinov3_vit", Family::Dinov3),
    ("beit", Family::Beit),
    ("aimv2", Family::Aimv2),
    ("aimv2_vision_model", Family::Aimv2),
    ("imbed_tiny", Family::Tiny),
];

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
        Family::Siglip | Family::Siglip2 => siglip::describe(config, *family, pooling),
        Family::Vit | Family::Deit => vit::describe(config, *family, has_tensor, pooling),
        Family::Dinov2 => dinov2::describe(config, pooling),
        Family::Dinov3 => dinov3::describe(config, pooling),
        Family::Beit => beit::describe(config, pooling),
        Family::Aimv2 => aimv2::describe(config, pooling),
        Family::Tiny => tiny::describe(config, pooling),
    }?;
    architecture.checked()
}

/// Reads the weights that `architecture` needs, and refuses those that nothing explains.
pub(crate) fn load(architecture: &Architecture, checkpoint: Checkpoint) -> Result<VisionTransformer> {
    let shape = architecture;
    let patch = match (shape.family, &shape.stem) {
        (Family::Tiny, StemShape::Convolutions(stages)) => return tiny::load(shape, stages, checkpoint),
        (_, StemShape::Patches(rows, columns)) => (*rows, *columns),
        (family, stem) => {
            return Err(Error::new(ErrorKind::Internal, format!("{family:?} cannot have the stem {stem:?}")));
        }
    };
    match shape.family {
        Family::Clip => clip::load(shape, patch, checkpoint),
        Family::Siglip | Family::Siglip2 => siglip::load(shape, patch, checkpoint),
        Family::Vit | Family::Deit => vit::load(shape, patch, checkpoint),
        Family::Dinov2 => dinov2::load(shape, patch, checkpoint),
        Family::Dinov3 => dinov3::load(shape, patch, checkpoint),
        Family::Beit => beit::load(shape, patch, checkpoint),
        Family::Aimv2 => aimv2::load(shape, patch, checkpoint),
        Family::Tiny => Err(Error::new(ErrorKind::Internal, "imbed/tiny cannot have a stem of patches")),
    }
}

/// Rows of the table of learnt positions that belong to patches.
fn learnt_rows(shape: &Architecture) -> usize {
    match shape.positions {
        PositionShape::Learnt { grid: (rows, columns), .. } => rows * columns,
        PositionShape::Waves | PositionShape::Rotary { .. } | PositionShape::Relative => 0,
    }
}

/// The positions of the patches, of `table`, `[rows * columns, hidden]`.
fn learnt(shape: &Architecture, table: Array) -> Result<Positions> {
    let PositionShape::Learnt { grid, resized } = shape.positions else {
        return Err(Error::new(ErrorKind::Internal, "a table of positions for a model without one"));
    };
    let resample = match resized {
        Resized::WhenAsked(resample) | Resized::Always(resample) => resample,
        // Nothing else than its own grid is asked of it.
        Resized::Never => Resample::Bicubic,
    };
    Ok(Positions::Learnt { table: table.into_values(), grid, resample })
}

/// The pooling that the user chose or else the first of `poolings`, which `what` offers.
fn chosen(what: &str, pooling: Option<Pooling>, poolings: &[Pooling]) -> Result<Pooling> {
    match (pooling, poolings) {
        (None, [first, ..]) => Ok(*first),
        (Some(pooling), offered) if offered.contains(&pooling) => Ok(pooling),
        (pooling, _) => Err(no_such_pooling(what, pooling.unwrap_or(Pooling::Cls), poolings)),
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
            let hint = error.hint_text().unwrap();
            assert!(hint.contains("clip, clip_vision_model") && hint.contains("dinov3_vit"), "{hint}");
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

    #[test]
    fn every_family_can_be_described_from_its_model_type_alone() {
        for (model_type, family) in MODEL_TYPES {
            let mut config = json!({"model_type": model_type});
            if *family == Family::Tiny {
                config["stem_channels"] = json!([32, 256]);
            }
            if *family == Family::Beit {
                config["use_relative_position_bias"] = json!(true);
            }
            let shape = describe(&config, &|_| false, None).unwrap_or_else(|e| panic!("{model_type}: {e}"));
            assert_eq!(shape.family, *family);
            let json = serde_json::to_value(&shape).unwrap();
            assert_eq!(serde_json::from_value::<Architecture>(json).unwrap(), shape, "{model_type}");
        }
    }
}
