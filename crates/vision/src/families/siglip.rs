//! The vision towers of `SigLIP` and `SigLIP` 2, from a whole checkpoint or one of the tower alone.
//!
//! The embedding is `get_image_features` of `transformers`: what a learnt query reads from all tokens after
//! `post_layernorm`, or, in a checkpoint without that head, the mean of the tokens. A checkpoint of `SigLIP` 2 at one
//! resolution says `siglip`; `siglip2` are those that keep an image's proportions (`NaFlex`). They run each image at its
//! own grid, which is what the reference computes beneath its padding and masks.

use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde_json::Value;

use super::{
    chosen,
    clip::block,
    config::{Config, Vision},
    learnt, learnt_rows, no_such_pooling,
    reader::Reader,
};
use crate::{
    Array,
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
        positions: learnt(shape, table)?,
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
    let mut channel_first = Vec::with_capacity(weight.values().len());
    for row in weight.values().chunks_exact(3 * height * width) {
        for channel in 0..3 {
            channel_first.extend(row.iter().skip(channel).step_by(3));
        }
    }
    Ok(Stem::Patches(Linear { weight: Array::new(weight.shape(), channel_first)?, bias }))
}

/// `torch.nn.MultiheadAttention` with the probe as its query.
fn pool(shape: &Architecture, read: &mut Reader<'_>) -> Result<AttentionPool> {
    let (hidden, middle) = (shape.hidden, shape.intermediate);
    let query = read.tensor("probe", &[1, 1, hidden], &[hidden])?;
    let all = [3 * hidden, hidden];
    let (of_query, of_kv) = read.tensor("attention.in_proj_weight", &all, &all)?.split_rows(hidden)?;
    let (query_bias, kv_bias) = read.vector("attention.in_proj_bias", 3 * hidden)?.split_rows(hidden)?;
    let query_product = Some(Linear { weight: of_query, bias: Some(query_bias) });
    let kv = Linear { weight: of_kv, bias: Some(kv_bias) };
    let out = read.linear("attention.out_proj", hidden, hidden, true)?;
    let mlp = Some((read.norm("layernorm", hidden)?, read.mlp(["mlp.fc1", "mlp.fc2"], middle, hidden, true)?));
    Ok(AttentionPool { query, query_product, kv, out, mlp })
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
