//! CLIP's vision tower, from a whole `clip` checkpoint or a `clip_vision_model` one, and `MetaCLIP` 2's, which is the
//! same.
//!
//! The embedding is `get_image_features` of `transformers`: the class token after `post_layernorm`, projected where the
//! checkpoint has a projection, and not normalised.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{config::Vision, learnt, learnt_rows, no_such_pooling, reader::Reader};
use crate::{
    architecture::{
        Architecture, Biases, Family, HeadShape, ImageShape, MlpKind, NormKind, PositionShape, Resized, StemShape,
    },
    interpolate::Resample,
    model::{Block, VisionTransformer},
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
    let Vision { whole, tower: vision, is_whole } = Vision::of(config, &["clip", "metaclip_2"]);
    vision.require_rgb()?;
    let projected = is_whole
        || match whole.architectures().as_slice() {
            [] => has_tensor(PROJECTION),
            names => names.iter().any(|name| name.ends_with("VisionModelWithProjection")),
        };
    let width = whole.size("projection_dim", 512)?;
    let (image, patch, grid) = vision.patches((224, 32))?;
    Ok(Architecture {
        family: Family::Clip,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Patches(patch.0, patch.1),
        prefix: 1,
        positions: PositionShape::Learnt { grid, resized: Resized::WhenAsked(Resample::Bicubic) },
        hidden: vision.size("hidden_size", 768)?,
        intermediate: vision.size("intermediate_size", 3072)?,
        layers: vision.size("num_hidden_layers", 12)?,
        heads: vision.size("num_attention_heads", 12)?,
        mlp: MlpKind::Plain,
        activation: vision.activation("hidden_act", "quick_gelu")?,
        norm: NormKind::Layer,
        norm_eps: vision.number("layer_norm_eps", 1e-5)?,
        biases: Biases::ALL,
        pooling: Pooling::Cls,
        poolings: vec![],
        attention_pool: None,
        head: projected.then_some(HeadShape { width, bias: false, activation: None }),
        normalized: false,
    })
}

/// Reads the vision tensors; the text tower's are left where they are.
pub(super) fn load(
    shape: &Architecture,
    patch: (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    // `CLIPVisionModel` of transformers 5 writes its tensors without the prefix that all others have.
    let prefix = if checkpoint.contains("embeddings.class_embedding") { "" } else { "vision_model." };
    let hidden = shape.hidden;
    let blocks =
        Reader::blocks(&mut checkpoint, &format!("{prefix}encoder.layers"), shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, prefix);
    let table = [1 + learnt_rows(shape), hidden];
    let table = read.tensor("embeddings.position_embedding.weight", &table, &table)?;
    let (of_class, of_patches) = table.split_rows(1)?;
    let class = read.tensor("embeddings.class_embedding", &[hidden], &[1, hidden])?;
    let mut model = VisionTransformer {
        architecture: shape.clone(),
        stem: read.patches("embeddings.patch_embedding", hidden, patch, false)?,
        patch_norm: None,
        prefix: Some(class.plus(&of_class)?),
        positions: learnt(shape, of_patches)?,
        // The spelling of the published checkpoints.
        pre_norm: Some(read.norm("pre_layrnorm", hidden)?),
        blocks,
        post_norm: Some(read.norm("post_layernorm", hidden)?),
        pool: None,
        pooled_norm: None,
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

/// A block of CLIP's encoder, which `SigLIP`'s is too.
pub(super) fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle) = (shape.hidden, shape.intermediate);
    let qkv = [("self_attn.q_proj", true), ("self_attn.k_proj", true), ("self_attn.v_proj", true)];
    Ok(Block {
        norm1: read.norm("layer_norm1", hidden)?,
        qkv: read.stacked(&qkv, hidden, hidden)?,
        scores: None,
        out: read.linear("self_attn.out_proj", hidden, hidden, true)?,
        norm2: read.norm("layer_norm2", hidden)?,
        mlp: read.mlp(["mlp.fc1", "mlp.fc2"], middle, hidden, true)?,
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
