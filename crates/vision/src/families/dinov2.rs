//! `DINOv2`, with registers or without, from a bare checkpoint or one with a classifier, which is left unread.
//!
//! The embedding is `pooler_output` of `transformers`, the class token after the last norm; the pooling `mean` is that of
//! the patches, without class token and registers. Positions are resampled for images of any size: the published
//! checkpoints learnt theirs at 518 pixels, and their processors make 224.

use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde_json::Value;

use super::{
    chosen,
    config::Config,
    learnt, learnt_rows,
    reader::{Reader, scaled},
};
use crate::{
    activation::Activation,
    architecture::{Architecture, Biases, Family, ImageShape, MlpKind, NormKind, PositionShape, Resized, StemShape},
    interpolate::Resample,
    model::{Block, Mlp, VisionTransformer},
    weights::Checkpoint,
};

/// Reads a config; absent keys have the defaults of `Dinov2Config` or `Dinov2WithRegistersConfig`.
pub(super) fn describe(config: &Value, pooling: Option<Pooling>) -> Result<Architecture> {
    let has_registers = config.get("model_type").and_then(Value::as_str) == Some("dinov2_with_registers");
    let config = Config(config);
    config.require_rgb()?;
    let poolings = vec![Pooling::Cls, Pooling::Mean];
    let (image, patch, grid) = config.patches((224, if has_registers { 16 } else { 14 }))?;
    if image.0 != image.1 {
        let message = format!("config.json: image_size is {} x {}; positions are read for squares", image.0, image.1);
        return Err(Error::new(ErrorKind::Model, message).hint("compare config.json with the published checkpoint's"));
    }
    // The two families resample differently.
    let resample = if has_registers { Resample::BicubicAntialiased } else { Resample::Bicubic };
    let hidden = config.size("hidden_size", 768)?;
    let widened = (hidden as f64 * config.number("mlp_ratio", 4.0)?).clamp(0.0, 1e9) as usize;
    let gated = config.flag("use_swiglu_ffn", false)?;
    Ok(Architecture {
        family: Family::Dinov2,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Patches(patch.0, patch.1),
        prefix: if has_registers { 1 + config.size("num_register_tokens", 4)?.min(1 << 16) } else { 1 },
        positions: PositionShape::Learnt { grid, resized: Resized::Always(resample) },
        hidden,
        // A gated MLP has two thirds of the width, rounded up to a multiple of eight.
        intermediate: if gated { ((widened * 2) / 3).next_multiple_of(8) } else { widened },
        layers: config.size("num_hidden_layers", 12)?,
        heads: config.size("num_attention_heads", 12)?,
        mlp: if gated { MlpKind::Gated } else { MlpKind::Plain },
        activation: if gated { Activation::Silu } else { config.activation("hidden_act", "gelu")? },
        norm: NormKind::Layer,
        norm_eps: config.number("layer_norm_eps", 1e-6)?,
        biases: Biases::with_qkv(config.flag("qkv_bias", true)?),
        pooling: chosen("DINOv2, which has no pooler", pooling, &poolings)?,
        poolings,
        attention_pool: None,
        head: None,
        normalized: false,
    })
}

/// Reads the encoder's tensors.
pub(super) fn load(
    shape: &Architecture,
    patch: (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    let prefix = ["dinov2.", "dinov2_with_registers."]
        .into_iter()
        .find(|prefix| checkpoint.contains(&format!("{prefix}embeddings.cls_token")))
        .unwrap_or_default();
    let hidden = shape.hidden;
    let blocks =
        Reader::blocks(&mut checkpoint, &format!("{prefix}encoder.layer"), shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, prefix);
    let tokens = 1 + learnt_rows(shape);
    let table = read.tensor("embeddings.position_embeddings", &[1, tokens, hidden], &[tokens, hidden])?;
    let class = read.tensor("embeddings.cls_token", &[1, 1, hidden], &[1, hidden])?;
    let (of_class, of_patches) = table.split_rows(1)?;
    let mut before = class.plus(&of_class)?;
    let registers = shape.prefix - 1;
    if registers > 0 {
        let (stored, flat) = ([1, registers, hidden], [registers, hidden]);
        before = before.above(read.tensor("embeddings.register_tokens", &stored, &flat)?)?;
    }
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem: read.patches("embeddings.patch_embeddings.projection", hidden, patch, true)?,
        patch_norm: None,
        prefix: Some(before),
        positions: learnt(shape, of_patches)?,
        pre_norm: None,
        blocks,
        post_norm: Some(read.norm("layernorm", hidden)?),
        pool: None,
        pooled_norm: None,
        head: None,
    };
    checkpoint.finish(|name| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        name.starts_with("classifier.") || name == "embeddings.mask_token"
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
    let Mlp { fc1, fc2 } = match shape.mlp {
        MlpKind::Plain => read.mlp(["mlp.fc1", "mlp.fc2"], middle, hidden, true)?,
        // Gate and up in one tensor, one below the other.
        MlpKind::Gated => Mlp {
            fc1: read.linear("mlp.weights_in", 2 * middle, hidden, true)?,
            fc2: read.linear("mlp.weights_out", hidden, middle, true)?,
        },
    };
    let out = read.linear("attention.output.dense", hidden, hidden, true)?;
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
    fn the_giant_has_a_gated_mlp_of_4096() {
        let config = json!({
            "model_type": "dinov2", "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24,
            "image_size": 518, "use_swiglu_ffn": true, "mlp_ratio": 4,
        });
        let giant = describe(&config, None).unwrap();
        assert_eq!((giant.intermediate, giant.mlp, giant.activation), (4096, MlpKind::Gated, Activation::Silu));
        let small = giant.for_images((224, 224), false).unwrap();
        assert_eq!(small.tokens((224, 224)), 257);
    }

    #[test]
    fn registers_stand_between_the_class_token_and_the_patches() {
        let with = describe(&json!({"model_type": "dinov2_with_registers", "patch_size": 14}), None).unwrap();
        assert_eq!((with.prefix, with.tokens((224, 224))), (5, 261));
        assert!(describe(&json!({"model_type": "dinov2"}), Some(Pooling::Pooler)).is_err());
    }
}
