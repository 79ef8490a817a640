//! `DINOv3`'s vision transformers: no learnt positions, but queries and keys that are turned by the place of their patch.
//!
//! The embedding is `pooler_output` of `transformers`, the class token after the last norm; the pooling `mean` is that of
//! the patches, without class token and registers. Images of any size that holds a patch are read.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{
    chosen,
    config::Config,
    reader::{Reader, scaled},
};
use crate::{
    architecture::{Architecture, Biases, Family, ImageShape, MlpKind, NormKind, PositionShape, StemShape},
    model::{Block, Mlp, VisionTransformer},
    positions::Positions,
    weights::Checkpoint,
};

/// Reads a config; absent keys have the defaults of `DINOv3ViTConfig`.
pub(super) fn describe(config: &Value, pooling: Option<Pooling>) -> Result<Architecture> {
    let config = Config(config);
    config.require_rgb()?;
    let poolings = vec![Pooling::Cls, Pooling::Mean];
    let (image, patch, _) = config.patches((224, 16))?;
    Ok(Architecture {
        family: Family::Dinov3,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Patches(patch.0, patch.1),
        prefix: 1 + config.size("num_register_tokens", 0)?.min(1 << 16),
        positions: PositionShape::Rotary { theta: config.number("rope_theta", 100.0)? },
        hidden: config.size("hidden_size", 384)?,
        intermediate: config.size("intermediate_size", 1536)?,
        layers: config.size("num_hidden_layers", 12)?,
        heads: config.size("num_attention_heads", 6)?,
        mlp: if config.flag("use_gated_mlp", false)? { MlpKind::Gated } else { MlpKind::Plain },
        activation: config.activation("hidden_act", "gelu")?,
        norm: NormKind::Layer,
        norm_eps: config.number("layer_norm_eps", 1e-5)?,
        biases: Biases {
            query: config.flag("query_bias", true)?,
            key: config.flag("key_bias", false)?,
            value: config.flag("value_bias", true)?,
            out: config.flag("proj_bias", true)?,
            mlp: config.flag("mlp_bias", true)?,
        },
        pooling: chosen("DINOv3, which has no pooler", pooling, &poolings)?,
        poolings,
        attention_pool: None,
        head: None,
        normalized: false,
    })
}

/// Reads all tensors.
pub(super) fn load(
    shape: &Architecture,
    patch: (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    // The spelling of the published checkpoints, and that of transformers 5 inside.
    let layers = if checkpoint.contains("model.layer.0.norm1.weight") { "model.layer" } else { "layer" };
    let hidden = shape.hidden;
    let blocks = Reader::blocks(&mut checkpoint, layers, shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, "");
    let mut before = read.tensor("embeddings.cls_token", &[1, 1, hidden], &[1, hidden])?;
    let registers = shape.prefix - 1;
    if registers > 0 {
        let (stored, flat) = ([1, registers, hidden], [registers, hidden]);
        before = before.above(read.tensor("embeddings.register_tokens", &stored, &flat)?)?;
    }
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem: read.patches("embeddings.patch_embeddings", hidden, patch, true)?,
        patch_norm: None,
        prefix: Some(before),
        positions: Positions::Nothing,
        pre_norm: None,
        blocks,
        post_norm: Some(read.norm("norm", hidden)?),
        pool: None,
        pooled_norm: None,
        head: None,
    };
    checkpoint.finish(|name| {
        name == "embeddings.mask_token"
            // Saved by checkpoints with no register at all.
            || (registers == 0 && name == "embeddings.register_tokens")
    })?;
    Ok(model)
}

fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle, biases) = (shape.hidden, shape.intermediate, shape.biases);
    let qkv =
        [("attention.q_proj", biases.query), ("attention.k_proj", biases.key), ("attention.v_proj", biases.value)];
    let Mlp { fc1, fc2 } = match shape.mlp {
        MlpKind::Plain => read.mlp(["mlp.up_proj", "mlp.down_proj"], middle, hidden, biases.mlp)?,
        MlpKind::Gated => {
            read.gated_mlp(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"], middle, hidden, biases.mlp)?
        }
    };
    let out = read.linear("attention.o_proj", hidden, hidden, biases.out)?;
    let scales = [read.vector("layer_scale1.lambda1", hidden)?, read.vector("layer_scale2.lambda1", hidden)?];
    Ok(Block {
        norm1: read.norm("norm1", hidden)?,
        qkv: read.stacked(&qkv, hidden, hidden)?,
        scores: None,
        out: scaled(out, &scales[0])?,
        norm2: read.norm("norm2", hidden)?,
        mlp: Mlp { fc1, fc2: scaled(fc2, &scales[1])? },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vit_b16_reads_any_size() {
        let config = json!({
            "model_type": "dinov3_vit", "hidden_size": 768, "num_attention_heads": 12, "num_register_tokens": 4,
        });
        let base = describe(&config, None).unwrap();
        assert_eq!((base.tokens((224, 224)), base.biases.key), (201, false));
        let larger = base.for_images((320, 256), false).unwrap();
        assert_eq!(larger.tokens((320, 256)), 5 + 320);
    }
}
