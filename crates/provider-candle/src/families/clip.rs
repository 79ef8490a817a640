//! CLIP's vision tower, from a whole `clip` checkpoint or a `clip_vision_model` one.
//!
//! The embedding is `get_image_features` of `transformers`: the class token after `post_layernorm`, projected where the
//! checkpoint has a projection, and not normalised.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{config::Config, no_such_pooling, reader::Reader};
use crate::{
    architecture::{Architecture, Family, HeadShape, StemShape},
    model::{Block, Linear, Stem, VisionTransformer},
    weights::Checkpoint,
};

const PROJECTION: &str = "visual_projection.weight";

/// Reads a config; absent keys have the defaults of `CLIPVisionConfig` and `CLIPConfig`.
pub(super) fn describe(
    config: &Value,
    has_tensor: &dyn Fn(&str) -> bool,
    pooling: Option<Pooling>,
) -> Result<Architecture> {
    if let Some(pooling) = pooling {
        return Err(no_such_pooling("CLIP, whose projection reads the class token", pooling, &[]));
    }
    let whole = Config(config);
    let empty = Value::Null;
    let is_whole = config.get("model_type").and_then(Value::as_str) == Some("clip");
    let vision = if is_whole { Config(config.get("vision_config").unwrap_or(&empty)) } else { whole };
    vision.require_rgb()?;
    let projected = is_whole
        || match whole.architectures().as_slice() {
            [] => has_tensor(PROJECTION),
            names => names.contains(&"CLIPVisionModelWithProjection"),
        };
    let width = whole.size("projection_dim", 512)?;
    let (height, columns) = vision.size_2d("patch_size", 32)?;
    Ok(Architecture {
        family: Family::Clip,
        image: vision.size_2d("image_size", 224)?,
        stem: StemShape::Patches(height, columns),
        class_token: true,
        hidden: vision.size("hidden_size", 768)?,
        intermediate: vision.size("intermediate_size", 3072)?,
        layers: vision.size("num_hidden_layers", 12)?,
        heads: vision.size("num_attention_heads", 12)?,
        activation: vision.activation("hidden_act", "quick_gelu")?,
        norm_eps: vision.number("layer_norm_eps", 1e-5)?,
        qkv_bias: true,
        pooling: Pooling::Cls,
        poolings: vec![],
        head: projected.then_some(HeadShape { width, bias: false, activation: None }),
        normalized: false,
    })
}

/// Reads the vision tensors; the text tower's are left where they are.
pub(super) fn load(
    shape: &Architecture,
    (height, width): (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    // `CLIPVisionModel` of transformers 5 writes its tensors without the prefix that all others have.
    let prefix = if checkpoint.contains("embeddings.class_embedding") { "" } else { "vision_model." };
    let hidden = shape.hidden;
    let mut blocks = Vec::new();
    for i in 0..shape.layers {
        blocks.push(block(shape, &mut Reader::new(&mut checkpoint, format!("{prefix}encoder.layers.{i}.")))?);
    }
    let mut read = Reader::new(&mut checkpoint, prefix);
    let (stored, flat) = ([hidden, 3, height, width], [hidden, 3 * height * width]);
    let patches = read.tensor("embeddings.patch_embedding.weight", &stored, &flat)?;
    let grid = [shape.tokens(), hidden];
    let mut model = VisionTransformer {
        architecture: shape.clone(),
        stem: Stem::Patches(Linear { weight: patches, bias: None }),
        class_token: Some(read.vector("embeddings.class_embedding", hidden)?),
        positions: read.tensor("embeddings.position_embedding.weight", &grid, &grid)?,
        // The spelling of the published checkpoints.
        pre_norm: Some(read.norm("pre_layrnorm", hidden)?),
        blocks,
        post_norm: read.norm("post_layernorm", hidden)?,
        head: None,
    };
    if let Some(head) = shape.head {
        model.head =
            Some(Reader::new(&mut checkpoint, "").linear("visual_projection", head.width, hidden, head.bias)?);
    }
    checkpoint.finish(|name| {
        name.starts_with("text_model.")
            || ["text_projection.weight", "logit_scale", PROJECTION].contains(&name)
            // A constant that older versions of transformers saved.
            || name.ends_with("embeddings.position_ids")
    })?;
    Ok(model)
}

fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle) = (shape.hidden, shape.intermediate);
    Ok(Block {
        norm1: read.norm("layer_norm1", hidden)?,
        qkv: read.stacked(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], hidden, shape.qkv_bias)?,
        out: read.linear("self_attn.out_proj", hidden, hidden, true)?,
        norm2: read.norm("layer_norm2", hidden)?,
        fc1: read.linear("mlp.fc1", middle, hidden, true)?,
        fc2: read.linear("mlp.fc2", hidden, middle, true)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_keys_mean_clip_vit_b32() {
        let clip = describe(&json!({"model_type": "clip"}), &|_| false, None).unwrap();
        assert_eq!(clip, crate::architecture::tests::clip_b32());
    }

    #[test]
    fn the_projection_of_a_vision_model_is_told_by_its_class_or_else_by_its_tensors() {
        let width = |config: Value, tensor: bool| describe(&config, &|_| tensor, None).unwrap().width();
        let with = json!({"model_type": "clip_vision_model", "architectures": ["CLIPVisionModelWithProjection"]});
        let without = json!({"model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"]});
        let silent = json!({"model_type": "clip_vision_model"});
        assert_eq!(width(with, false), 512);
        assert_eq!(width(without, true), 768);
        assert_eq!(width(silent.clone(), true), 512);
        assert_eq!(width(silent, false), 768);
    }

    #[test]
    fn a_pooling_cannot_be_chosen() {
        let error = describe(&json!({"model_type": "clip"}), &|_| false, Some(Pooling::Mean)).unwrap_err();
        assert_eq!(error.kind(), imbed_core::ErrorKind::BadOption);
    }
}
