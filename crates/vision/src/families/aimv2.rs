//! `AIMv2`'s vision transformers, from the whole of an image and text model (`-lit`) or the vision tower alone.
//!
//! The embedding of a whole model is `get_image_features` of `transformers`: what a learnt query reads from all tokens
//! after the last norm, projected. A tower with that head gives what it reads, one without the mean of its tokens. Learnt
//! positions belong to one size; the `native` checkpoints, whose positions are computed, read any.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{chosen, config::Vision, learnt, learnt_rows, no_such_pooling, reader::Reader};
use crate::{
    architecture::{
        Architecture, AttentionPoolShape, Biases, Family, HeadShape, ImageShape, MlpKind, NormKind, PositionShape,
        Resized, StemShape,
    },
    model::{AttentionPool, Block, VisionTransformer},
    positions::Positions,
    weights::Checkpoint,
};

/// Reads a config; absent keys have the defaults of `Aimv2VisionConfig` and `Aimv2Config`.
pub(super) fn describe(config: &Value, pooling: Option<Pooling>) -> Result<Architecture> {
    let Vision { whole, tower: vision, is_whole } = Vision::of(config, &["aimv2"]);
    vision.require_rgb()?;
    let has_head = vision.flag("use_head", true)?;
    let (pooling, poolings) = match (has_head, pooling) {
        (true, Some(pooling)) => {
            return Err(no_such_pooling("this AIMv2, whose head reads all tokens by itself", pooling, &[]));
        }
        (true, None) => (Pooling::Pooler, vec![]),
        (false, pooling) => {
            let poolings = vec![Pooling::Mean];
            (chosen("this AIMv2, which has neither head nor class token", pooling, &poolings)?, poolings)
        }
    };
    let width = whole.size("projection_dim", 512)?;
    let (image, patch, grid) = vision.patches((224, 14))?;
    let native = vision.flag("is_native", false)?;
    let qkv = vision.flag("qkv_bias", false)?;
    Ok(Architecture {
        family: Family::Aimv2,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Patches(patch.0, patch.1),
        prefix: 0,
        positions: if native { PositionShape::Waves } else { PositionShape::Learnt { grid, resized: Resized::Never } },
        hidden: vision.size("hidden_size", 1024)?,
        intermediate: vision.size("intermediate_size", 2816)?,
        layers: vision.size("num_hidden_layers", 24)?,
        heads: vision.size("num_attention_heads", 8)?,
        mlp: MlpKind::Gated,
        activation: vision.activation("hidden_act", "silu")?,
        norm: NormKind::Rms,
        norm_eps: vision.number("rms_norm_eps", 1e-5)?,
        biases: Biases { query: qkv, key: qkv, value: qkv, out: qkv, mlp: vision.flag("mlp_bias", false)? },
        pooling,
        poolings,
        attention_pool: has_head.then_some(AttentionPoolShape { mlp: false }),
        head: (is_whole && has_head).then_some(HeadShape { width, bias: false, activation: None }),
        normalized: false,
    })
}

/// Reads the vision tensors; the text tower's are left where they are.
pub(super) fn load(
    shape: &Architecture,
    patch: (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    let prefix = if checkpoint.contains("embeddings.patch_embed.weight") { "" } else { "vision_model." };
    let hidden = shape.hidden;
    let blocks =
        Reader::blocks(&mut checkpoint, &format!("{prefix}encoder.layers"), shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, prefix);
    let positions = match shape.positions {
        PositionShape::Learnt { .. } => {
            let table = [learnt_rows(shape), hidden];
            learnt(shape, read.tensor("embeddings.position_embedding.weight", &table, &table)?)?
        }
        PositionShape::Waves | PositionShape::Rotary { .. } | PositionShape::Relative => Positions::Waves,
    };
    let mut model = VisionTransformer {
        architecture: shape.clone(),
        stem: read.patches("embeddings.patch_embed", hidden, patch, true)?,
        patch_norm: Some(read.rms_norm("embeddings.rms_norm", hidden)?),
        prefix: None,
        positions,
        pre_norm: None,
        blocks,
        post_norm: Some(read.rms_norm("rms_norm", hidden)?),
        pool: None,
        pooled_norm: None,
        head: None,
    };
    if shape.attention_pool.is_some() {
        model.pool = Some(pool(shape, &mut Reader::new(&mut checkpoint, format!("{prefix}head.")))?);
    }
    if let Some(head) = shape.head {
        model.head =
            Some(Reader::new(&mut checkpoint, "").linear("visual_projection", head.width, hidden, head.bias)?);
    }
    checkpoint
        .finish(|name| name.starts_with("text_model.") || ["text_projection.weight", "logit_scale"].contains(&name))?;
    Ok(model)
}

fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle, biases) = (shape.hidden, shape.intermediate, shape.biases);
    let qkv =
        [("attention.q_proj", biases.query), ("attention.k_proj", biases.key), ("attention.v_proj", biases.value)];
    Ok(Block {
        norm1: read.rms_norm("rms_norm1", hidden)?,
        qkv: read.stacked(&qkv, hidden, hidden)?,
        scores: None,
        out: read.linear("attention.out_proj", hidden, hidden, biases.out)?,
        norm2: read.rms_norm("rms_norm2", hidden)?,
        mlp: read.gated_mlp(["ffn.gate_proj", "ffn.up_proj", "ffn.down_proj"], middle, hidden, biases.mlp)?,
    })
}

/// The class token asks as it is, without a product of its own.
fn pool(shape: &Architecture, read: &mut Reader<'_>) -> Result<AttentionPool> {
    let (hidden, biases) = (shape.hidden, shape.biases);
    Ok(AttentionPool {
        query: read.tensor("cls_token", &[1, 1, hidden], &[hidden])?,
        query_product: None,
        kv: read.stacked(&[("k_proj", biases.key), ("v_proj", biases.value)], hidden, hidden)?,
        out: read.linear("output_proj", hidden, hidden, true)?,
        mlp: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn large_patch14_224_lit_is_what_absent_keys_mean_but_for_its_projection() {
        let lit = describe(&json!({"model_type": "aimv2", "projection_dim": 768}), None).unwrap();
        assert_eq!((lit.width(), lit.hidden, lit.layers, lit.tokens((224, 224))), (768, 1024, 24, 256));
        assert!(lit.clone().for_images((336, 336), true).is_err(), "its positions are of one size");
        assert!(describe(&json!({"model_type": "aimv2"}), Some(Pooling::Mean)).is_err());
    }

    #[test]
    fn a_native_tower_without_a_head_reads_any_size_and_gives_the_mean() {
        let config = json!({"model_type": "aimv2_vision_model", "use_head": false, "is_native": true});
        let native = describe(&config, None).unwrap();
        assert_eq!((native.pooling, native.width()), (Pooling::Mean, 1024));
        assert!(native.for_images((336, 224), false).is_ok());
    }
}
