//! `ViT`, from a bare `ViTModel` checkpoint or one with a classifier, which is left unread.
//!
//! The embedding is `pooler_output` where the checkpoint has a pooler, as in `transformers`, and else the class token
//! after the last norm.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{config::Config, no_such_pooling, reader::Reader};
use crate::{
    architecture::{Architecture, Family, HeadShape, StemShape},
    model::{Block, Linear, Stem, VisionTransformer},
    weights::Checkpoint,
};

/// Reads a config; absent keys have the defaults of `ViTConfig`.
pub(super) fn describe(
    config: &Value,
    has_tensor: &dyn Fn(&str) -> bool,
    pooling: Option<Pooling>,
) -> Result<Architecture> {
    let config = Config(config);
    config.require_rgb()?;
    let mut poolings = vec![Pooling::Cls, Pooling::Mean];
    if has_tensor("pooler.dense.weight") || has_tensor("vit.pooler.dense.weight") {
        poolings.insert(0, Pooling::Pooler);
    }
    let pooling = pooling.unwrap_or(poolings[0]);
    if !poolings.contains(&pooling) {
        return Err(no_such_pooling("this checkpoint, which has no pooler", pooling, &poolings));
    }
    let hidden = config.size("hidden_size", 768)?;
    let pooler = HeadShape {
        width: config.size("pooler_output_size", hidden)?,
        bias: true,
        activation: Some(config.activation("pooler_act", "tanh")?),
    };
    let (height, width) = config.size_2d("patch_size", 16)?;
    Ok(Architecture {
        family: Family::Vit,
        image: config.size_2d("image_size", 224)?,
        stem: StemShape::Patches(height, width),
        class_token: true,
        hidden,
        intermediate: config.size("intermediate_size", 3072)?,
        layers: config.size("num_hidden_layers", 12)?,
        heads: config.size("num_attention_heads", 12)?,
        activation: config.activation("hidden_act", "gelu")?,
        norm_eps: config.number("layer_norm_eps", 1e-12)?,
        qkv_bias: config.flag("qkv_bias", true)?,
        pooling,
        poolings,
        head: (pooling == Pooling::Pooler).then_some(pooler),
        normalized: false,
    })
}

/// Reads the encoder's tensors, and the pooler's where the pooling needs them.
pub(super) fn load(
    shape: &Architecture,
    (height, width): (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    let prefix = if checkpoint.contains("vit.embeddings.cls_token") { "vit." } else { "" };
    let hidden = shape.hidden;
    let mut blocks = Vec::new();
    for i in 0..shape.layers {
        blocks.push(block(shape, &mut Reader::new(&mut checkpoint, format!("{prefix}encoder.layer.{i}.")))?);
    }
    let mut read = Reader::new(&mut checkpoint, prefix);
    let (stored, flat) = ([hidden, 3, height, width], [hidden, 3 * height * width]);
    let patches = Linear {
        weight: read.tensor("embeddings.patch_embeddings.projection.weight", &stored, &flat)?,
        bias: Some(read.vector("embeddings.patch_embeddings.projection.bias", hidden)?),
    };
    let tokens = shape.tokens();
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem: Stem::Patches(patches),
        class_token: Some(read.tensor("embeddings.cls_token", &[1, 1, hidden], &[hidden])?),
        positions: read.tensor("embeddings.position_embeddings", &[1, tokens, hidden], &[tokens, hidden])?,
        pre_norm: None,
        blocks,
        post_norm: read.norm("layernorm", hidden)?,
        head: match shape.head {
            Some(head) => Some(read.linear("pooler.dense", head.width, hidden, head.bias)?),
            None => None,
        },
    };
    checkpoint.finish(|name| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        ["classifier.", "decoder.", "pooler.dense."].iter().any(|head| name.starts_with(head))
            || name == "embeddings.mask_token"
    })?;
    Ok(model)
}

fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle) = (shape.hidden, shape.intermediate);
    let qkv = ["attention.attention.query", "attention.attention.key", "attention.attention.value"];
    Ok(Block {
        norm1: read.norm("layernorm_before", hidden)?,
        qkv: read.stacked(qkv, hidden, shape.qkv_bias)?,
        out: read.linear("attention.output.dense", hidden, hidden, true)?,
        norm2: read.norm("layernorm_after", hidden)?,
        fc1: read.linear("intermediate.dense", middle, hidden, true)?,
        fc2: read.linear("output.dense", hidden, middle, true)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pooler_is_the_default_where_there_is_one_and_an_error_where_there_is_none() {
        let config = json!({"model_type": "vit"});
        let with = describe(&config, &|name| name == "pooler.dense.weight", None).unwrap();
        assert_eq!(with.poolings, [Pooling::Pooler, Pooling::Cls, Pooling::Mean]);
        assert_eq!(with.pooling, Pooling::Pooler);
        let without = describe(&config, &|_| false, None).unwrap();
        assert_eq!(without.pooling, Pooling::Cls);
        let error = describe(&config, &|_| false, Some(Pooling::Pooler)).unwrap_err();
        assert!(error.hint_text().unwrap().contains("cls, mean"), "{error}");
    }
}
