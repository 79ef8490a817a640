//! `ViT`, from a bare `ViTModel` checkpoint or one with a classifier, which is left unread, and `DeiT`, which has one
//! token more before its patches.
//!
//! The embedding is `pooler_output` where the checkpoint has a pooler, as in `transformers`, and else the class token
//! after the last norm.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{chosen, config::Config, learnt, learnt_rows, reader::Reader};
use crate::{
    architecture::{
        Architecture, Biases, Family, HeadShape, ImageShape, MlpKind, NormKind, PositionShape, Resized, StemShape,
    },
    interpolate::Resample,
    model::{Block, VisionTransformer},
    weights::Checkpoint,
};

/// What the tensors of a checkpoint with a classifier start with.
fn name(family: Family) -> &'static str {
    if family == Family::Deit { "deit." } else { "vit." }
}

/// Reads a config; absent keys have the defaults of `ViTConfig` and `DeiTConfig`, which are the same.
pub(super) fn describe(
    config: &Value,
    family: Family,
    has_tensor: &dyn Fn(&str) -> bool,
    pooling: Option<Pooling>,
) -> Result<Architecture> {
    let config = Config(config);
    config.require_rgb()?;
    let mut poolings = vec![Pooling::Cls, Pooling::Mean];
    let pooler = "pooler.dense.weight";
    if has_tensor(pooler) || has_tensor(&format!("{}{pooler}", name(family))) {
        poolings.insert(0, Pooling::Pooler);
    }
    let pooling = chosen("this checkpoint, which has no pooler", pooling, &poolings)?;
    let hidden = config.size("hidden_size", 768)?;
    let pooler = HeadShape {
        width: config.size("pooler_output_size", hidden)?,
        bias: true,
        activation: Some(config.activation("pooler_act", "tanh")?),
    };
    let (image, patch, grid) = config.patches((224, 16))?;
    Ok(Architecture {
        family,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Patches(patch.0, patch.1),
        // The class token, and DeiT's for distillation.
        prefix: if family == Family::Deit { 2 } else { 1 },
        positions: PositionShape::Learnt { grid, resized: Resized::WhenAsked(Resample::Bicubic) },
        hidden,
        intermediate: config.size("intermediate_size", 3072)?,
        layers: config.size("num_hidden_layers", 12)?,
        heads: config.size("num_attention_heads", 12)?,
        mlp: MlpKind::Plain,
        activation: config.activation("hidden_act", "gelu")?,
        norm: NormKind::Layer,
        norm_eps: config.number("layer_norm_eps", 1e-12)?,
        biases: Biases::with_qkv(config.flag("qkv_bias", true)?),
        pooling,
        poolings,
        attention_pool: None,
        head: (pooling == Pooling::Pooler).then_some(pooler),
        normalized: false,
    })
}

/// Reads the encoder's tensors, and the pooler's where the pooling needs them.
pub(super) fn load(
    shape: &Architecture,
    patch: (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    let name = name(shape.family);
    let prefix = if checkpoint.contains(&format!("{name}embeddings.cls_token")) { name } else { "" };
    let hidden = shape.hidden;
    let blocks =
        Reader::blocks(&mut checkpoint, &format!("{prefix}encoder.layer"), shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, prefix);
    let tokens = shape.prefix + learnt_rows(shape);
    let table = read.tensor("embeddings.position_embeddings", &[1, tokens, hidden], &[tokens, hidden])?;
    let (of_prefix, of_patches) = table.split_rows(shape.prefix)?;
    let mut before = read.tensor("embeddings.cls_token", &[1, 1, hidden], &[1, hidden])?;
    if shape.family == Family::Deit {
        before = before.above(read.tensor("embeddings.distillation_token", &[1, 1, hidden], &[1, hidden])?)?;
    }
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem: read.patches("embeddings.patch_embeddings.projection", hidden, patch, true)?,
        patch_norm: None,
        prefix: Some(before.plus(&of_prefix)?),
        positions: learnt(shape, of_patches)?,
        pre_norm: None,
        blocks,
        post_norm: Some(read.norm("layernorm", hidden)?),
        pool: None,
        pooled_norm: None,
        head: match shape.head {
            Some(head) => Some(read.linear("pooler.dense", head.width, hidden, head.bias)?),
            None => None,
        },
    };
    checkpoint.finish(|name| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        ["classifier.", "cls_classifier.", "distillation_classifier.", "decoder.", "pooler.dense."]
            .iter()
            .any(|head| name.starts_with(head))
            || name == "embeddings.mask_token"
    })?;
    Ok(model)
}

fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle, biases) = (shape.hidden, shape.intermediate, shape.biases);
    let qkv = [
        ("attention.attention.query", biases.query),
        ("attention.attention.key", biases.key),
        ("attention.attention.value", biases.value),
    ];
    Ok(Block {
        norm1: read.norm("layernorm_before", hidden)?,
        qkv: read.stacked(&qkv, hidden, hidden)?,
        scores: None,
        out: read.linear("attention.output.dense", hidden, hidden, true)?,
        norm2: read.norm("layernorm_after", hidden)?,
        mlp: read.mlp(["intermediate.dense", "output.dense"], middle, hidden, true)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pooler_is_the_default_where_there_is_one_and_an_error_where_there_is_none() {
        let config = json!({"model_type": "vit"});
        let with = describe(&config, Family::Vit, &|name| name == "pooler.dense.weight", None).unwrap();
        assert_eq!(with.poolings, [Pooling::Pooler, Pooling::Cls, Pooling::Mean]);
        assert_eq!(with.pooling, Pooling::Pooler);
        let without = describe(&config, Family::Vit, &|_| false, None).unwrap();
        assert_eq!(without.pooling, Pooling::Cls);
        let error = describe(&config, Family::Vit, &|_| false, Some(Pooling::Pooler)).unwrap_err();
        assert!(error.hint_text().unwrap().contains("cls, mean"), "{error}");
    }

    #[test]
    fn deit_has_a_token_more() {
        let deit = describe(&json!({"model_type": "deit"}), Family::Deit, &|_| false, None).unwrap();
        assert_eq!(deit.tokens((224, 224)), 198);
    }
}
