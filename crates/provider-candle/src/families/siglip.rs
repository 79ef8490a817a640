//! The vision towers of `SigLIP` and `SigLIP` 2, from a whole checkpoint or one of the tower alone.
//!
//! The embedding is `get_image_features` of `transformers`: what a learnt query reads from all tokens after
//! `post_layernorm`, or, in a checkpoint without that head, the mean of the tokens. A checkpoint of `SigLIP` 2 at one
//! resolution says `siglip`; `siglip2` are those that keep an image's proportions (`NaFlex`). They run each image at its
//! own grid, which is what the reference computes beneath its padding and masks.

use candle_core::Tensor;
use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde_json::Value;

use super::{
    chosen,
    clip::block,
    config::{Config, Vision},
    learnt, learnt_rows, no_such_pooling,
    reader::{Reader, slice},
};
use crate::{
    architecture::{
        Architecture, AttentionPoolShape, Biases, Family, ImageShape, MlpKind, NormKind, PositionShape, Resized,
        StemShape,
    },
    interpolate::Resample,
    model::{AttentionPool, Linear, Stem, VisionTransformer},
    weights::Checkpoint,
};

/// Reads a config; absent keys have the defaults of `SiglipVisionConfig` and `Siglip2VisionConfig`.
pub(super) fn describe(config: &Value, family: Family, pooling: Option<Pooling>) -> Result<Architecture> {
    let Vision { tower: vision, .. } = Vision::of(config, &["siglip", "siglip2"]);
    vision.require_rgb()?;
    let has_head = vision.flag("vision_use_head", true)?;
    let (pooling, poolings) = match (has_head, pooling) {
        (true, Some(pooling)) => {
            return Err(no_such_pooling("SigLIP, whose head reads all tokens by itself", pooling, &[]));
        }
        (true, None) => (Pooling::Pooler, vec![]),
        (false, pooling) => {
            let poolings = vec![Pooling::Mean];
            (chosen("this checkpoint, which has no head", pooling, &poolings)?, poolings)
        }
    };
    let (image, patch, positions) = if family == Family::Siglip2 { any_proportion(vision)? } else { one_size(vision)? };
    Ok(Architecture {
        family,
        image,
        stem: StemShape::Patches(patch.0, patch.1),
        prefix: 0,
        positions,
        hidden: vision.size("hidden_size", 768)?,
        intermediate: vision.size("intermediate_size", 3072)?,
        layers: vision.size("num_hidden_layers", 12)?,
        heads: vision.size("num_attention_heads", 12)?,
        mlp: MlpKind::Plain,
        activation: vision.activation("hidden_act", "gelu_pytorch_tanh")?,
        norm: NormKind::Layer,
        norm_eps: vision.number("layer_norm_eps", 1e-6)?,
        biases: Biases::ALL,
        pooling,
        poolings,
        attention_pool: has_head.then_some(AttentionPoolShape { mlp: true }),
        head: None,
        normalized: false,
    })
}

/// Image, patch and positions.
type Input = (ImageShape, (usize, usize), PositionShape);

fn one_size(vision: Config<'_>) -> Result<Input> {
    let (image, patch, grid) = vision.patches((224, 16))?;
    let positions = PositionShape::Learnt { grid, resized: Resized::WhenAsked(Resample::Bicubic) };
    Ok((ImageShape::Fixed(image.0, image.1), patch, positions))
}

/// The number of patches is that of the table of positions; how many an image may have, the preprocessor says.
fn any_proportion(vision: Config<'_>) -> Result<Input> {
    let patches = vision.size("num_patches", 256)?;
    let side = patches.isqrt();
    if side * side != patches {
        let message = format!("config.json: num_patches is {patches}, which is not the square of a whole number");
        return Err(Error::new(ErrorKind::Model, message).hint("compare config.json with the published checkpoint's"));
    }
    let resized = Resized::Always(Resample::BilinearAntialiased);
    let positions = PositionShape::Learnt { grid: (side, side), resized };
    Ok((ImageShape::Patches(patches), vision.size_2d("patch_size", 16)?, positions))
}

/// Reads the vision tensors; the text tower's are left where they are.
pub(super) fn load(
    shape: &Architecture,
    patch: (usize, usize),
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    let prefix = if checkpoint.contains("embeddings.position_embedding.weight") { "" } else { "vision_model." };
    let hidden = shape.hidden;
    let blocks =
        Reader::blocks(&mut checkpoint, &format!("{prefix}encoder.layers"), shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, prefix);
    let stem = if shape.family == Family::Siglip2 {
        flat_patches(&mut read, hidden, patch)?
    } else {
        read.patches("embeddings.patch_embedding", hidden, patch, true)?
    };
    let table = [learnt_rows(shape), hidden];
    let table = read.tensor("embeddings.position_embedding.weight", &table, &table)?;
    let post_norm = read.norm("post_layernorm", hidden)?;
    let pool = shape.attention_pool.map(|_| pool(shape, &mut Reader::new(&mut checkpoint, format!("{prefix}head."))));
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem,
        patch_norm: None,
        prefix: None,
        positions: learnt(shape, &table, 0)?,
        pre_norm: None,
        blocks,
        post_norm: Some(post_norm),
        pool: pool.transpose()?,
        pooled_norm: None,
        head: None,
    };
    checkpoint.finish(|name| {
        name.starts_with("text_model.")
            || ["logit_scale", "logit_bias"].contains(&name)
            // A constant that older versions of transformers saved.
            || name.ends_with("embeddings.position_ids")
    })?;
    Ok(model)
}

/// `NaFlex` reads each patch as a row of numbers, its channels last.
fn flat_patches(read: &mut Reader<'_>, hidden: usize, (height, width): (usize, usize)) -> Result<Stem> {
    let Linear { weight, bias } = read.linear("embeddings.patch_embedding", hidden, 3 * height * width, true)?;
    let channel_first = |weight: Tensor| {
        weight.reshape((hidden, height, width, 3))?.permute((0, 3, 1, 2))?.reshape((hidden, 3 * height * width))
    };
    let weight = channel_first(weight)
        .map_err(|e| Error::new(ErrorKind::Model, format!("tensor 'embeddings.patch_embedding.weight': {e}")))?;
    Ok(Stem::Patches(Linear { weight, bias }))
}

/// `torch.nn.MultiheadAttention` with the probe as its query.
fn pool(shape: &Architecture, read: &mut Reader<'_>) -> Result<AttentionPool> {
    let (hidden, middle) = (shape.hidden, shape.intermediate);
    let probe = read.tensor("probe", &[1, 1, hidden], &[1, hidden])?;
    let all = [3 * hidden, hidden];
    let weight = read.tensor("attention.in_proj_weight", &all, &all)?;
    let bias = read.vector("attention.in_proj_bias", 3 * hidden)?;
    let (own, rest) = (slice(&weight, 0, hidden)?, slice(&weight, hidden, 3 * hidden)?);
    let query = probe
        .matmul(&own.t().map_err(unfit)?)
        .and_then(|query| query.flatten_all()? + bias.narrow(0, 0, hidden)?)
        .map_err(unfit)?;
    let kv = Linear { weight: rest, bias: Some(slice(&bias, hidden, 3 * hidden)?) };
    let out = read.linear("attention.out_proj", hidden, hidden, true)?;
    let norm = read.norm("layernorm", hidden)?;
    Ok(AttentionPool { query, kv, out, mlp: Some((norm, read.mlp(["mlp.fc1", "mlp.fc2"], middle, hidden, true)?)) })
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unfit(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Model, format!("the pooling head: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_keys_mean_siglip_base_patch16_224() {
        let siglip = describe(&json!({"model_type": "siglip"}), Family::Siglip, None).unwrap();
        assert_eq!((siglip.image, siglip.tokens((224, 224))), (ImageShape::Fixed(224, 224), 196));
        assert_eq!((siglip.pooling, siglip.width()), (Pooling::Pooler, 768));
    }

    #[test]
    fn a_checkpoint_without_a_head_gives_the_mean() {
        let config = json!({"model_type": "siglip_vision_model", "vision_use_head": false});
        let bare = describe(&config, Family::Siglip, None).unwrap();
        assert_eq!((bare.pooling, bare.attention_pool), (Pooling::Mean, None));
        assert!(describe(&config, Family::Siglip, Some(Pooling::Cls)).is_err());
        let whole = json!({"model_type": "siglip"});
        assert!(describe(&whole, Family::Siglip, Some(Pooling::Mean)).unwrap_err().message().contains("head"));
    }

    #[test]
    fn positions_of_naflex_are_a_square() {
        let config = json!({"model_type": "siglip2_vision_model", "num_patches": 250});
        assert!(describe(&config, Family::Siglip2, None).unwrap_err().message().contains("num_patches is 250"));
    }
}
