//! `BEiT`, from a bare checkpoint or one with a classifier, which is left unread.
//!
//! The embedding is `pooler_output` of `transformers`: the mean of the patches under a norm of its own, or, in checkpoints that
//! say `use_mean_pooling: false`, the class token after the last norm. What is learnt about places are numbers added to the
//! scores of attention, one for each distance between two patches, in each block or once for all.

use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde_json::Value;

use super::{
    config::Config,
    no_such_pooling,
    reader::{Reader, scaled},
};
use crate::{
    Array,
    architecture::{Architecture, Biases, Family, ImageShape, MlpKind, NormKind, PositionShape, StemShape},
    model::{Block, VisionTransformer},
    positions::Positions,
    weights::Checkpoint,
};

/// Reads a config; absent keys have the defaults of `BeitConfig`.
pub(super) fn describe(config: &Value, pooling: Option<Pooling>) -> Result<Architecture> {
    if let Some(pooling) = pooling {
        return Err(no_such_pooling("BEiT, whose checkpoints say how they are pooled", pooling, &[]));
    }
    let config = Config(config);
    config.require_rgb()?;
    let relative = config.flag("use_relative_position_bias", false)?;
    let shared = config.flag("use_shared_relative_position_bias", false)?;
    if config.flag("use_absolute_position_embeddings", false)? || !(relative ^ shared) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "config.json: BEiT without relative positions, or with more than those",
        )
        .hint("read are use_relative_position_bias or use_shared_relative_position_bias, one of the two"));
    }
    let (image, patch, _) = config.patches((224, 16))?;
    if image.0 != image.1 || patch.0 != patch.1 {
        return Err(Error::new(ErrorKind::Unsupported, "config.json: BEiT is read for square images and patches")
            .hint("compare config.json with the published checkpoint's"));
    }
    Ok(Architecture {
        family: Family::Beit,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Patches(patch.0, patch.1),
        prefix: 1,
        positions: PositionShape::Relative,
        hidden: config.size("hidden_size", 768)?,
        intermediate: config.size("intermediate_size", 3072)?,
        layers: config.size("num_hidden_layers", 12)?,
        heads: config.size("num_attention_heads", 12)?,
        mlp: MlpKind::Plain,
        activation: config.activation("hidden_act", "gelu")?,
        norm: NormKind::Layer,
        norm_eps: config.number("layer_norm_eps", 1e-12)?,
        biases: Biases { key: false, ..Biases::ALL },
        pooling: if config.flag("use_mean_pooling", true)? { Pooling::Mean } else { Pooling::Cls },
        poolings: vec![],
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
    let prefix = if checkpoint.contains("beit.embeddings.cls_token") { "beit." } else { "" };
    let hidden = shape.hidden;
    // Whether they are shared, the architecture need not know: the tensors tell.
    let shared = "encoder.relative_position_bias.relative_position_bias_table";
    let shared = if checkpoint.contains(&format!("{prefix}{shared}")) {
        Some(scores(shape, shared, &mut Reader::new(&mut checkpoint, prefix))?)
    } else {
        None
    };
    let layers = format!("{prefix}encoder.layer");
    let blocks = Reader::blocks(&mut checkpoint, &layers, shape.layers, |read| block(shape, shared.as_ref(), read))?;
    let mut read = Reader::new(&mut checkpoint, prefix);
    let pools_mean = shape.pooling == Pooling::Mean;
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem: read.patches("embeddings.patch_embeddings.projection", hidden, patch, true)?,
        patch_norm: None,
        prefix: Some(read.tensor("embeddings.cls_token", &[1, 1, hidden], &[1, hidden])?),
        positions: Positions::Nothing,
        pre_norm: None,
        blocks,
        post_norm: if pools_mean { None } else { Some(read.norm("layernorm", hidden)?) },
        pool: None,
        pooled_norm: if pools_mean { Some(read.norm("pooler.layernorm", hidden)?) } else { None },
        head: None,
    };
    checkpoint.finish(|name| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        name.starts_with("classifier.")
            || name == "embeddings.mask_token"
            // A constant that older versions of transformers saved.
            || name.ends_with("relative_position_index")
    })?;
    Ok(model)
}

fn block(shape: &Architecture, shared: Option<&Array>, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle, biases) = (shape.hidden, shape.intermediate, shape.biases);
    let qkv = [
        ("attention.attention.query", biases.query),
        ("attention.attention.key", biases.key),
        ("attention.attention.value", biases.value),
    ];
    let own = "attention.attention.relative_position_bias.relative_position_bias_table";
    let mut out = read.linear("attention.output.dense", hidden, hidden, true)?;
    let mut mlp = read.mlp(["intermediate.dense", "output.dense"], middle, hidden, true)?;
    // A layer scale is there or not, and no config tells.
    if read.contains("lambda_1") {
        out = scaled(out, &read.vector("lambda_1", hidden)?)?;
        mlp.fc2 = scaled(mlp.fc2, &read.vector("lambda_2", hidden)?)?;
    }
    Ok(Block {
        norm1: read.norm("layernorm_before", hidden)?,
        qkv: read.stacked(&qkv, hidden, hidden)?,
        scores: Some(match shared {
            Some(shared) => shared.clone(),
            None => scores(shape, own, read)?,
        }),
        out,
        norm2: read.norm("layernorm_after", hidden)?,
        mlp,
    })
}

/// What is added to the scores, `[heads, tokens, tokens]`, from the table `name`: a row per distance between two patches of a
/// square grid, then one each for the class token to a patch, a patch to the class token, and the class token to itself.
fn scores(shape: &Architecture, name: &str, read: &mut Reader<'_>) -> Result<Array> {
    let ImageShape::Fixed(height, width) = shape.image else {
        return Err(Error::new(ErrorKind::Internal, "relative positions for images of any size"));
    };
    let ((rows, columns), heads) = (shape.grid((height, width)), shape.heads);
    let distances = (2 * rows - 1) * (2 * columns - 1);
    let size = [distances + 3, heads];
    let table = read.tensor(name, &size, &size)?.into_values();
    let tokens = shape.tokens((height, width));
    let mut scores = Vec::with_capacity(heads * tokens * tokens);
    for head in 0..heads {
        for (query, key) in (0..tokens).flat_map(|query| (0..tokens).map(move |key| (query, key))) {
            let row = match (query.checked_sub(1), key.checked_sub(1)) {
                (Some(query), Some(key)) => {
                    let down = query / columns + rows - 1 - key / columns;
                    let across = query % columns + columns - 1 - key % columns;
                    down * (2 * columns - 1) + across
                }
                (None, Some(_)) => distances,
                (Some(_), None) => distances + 1,
                (None, None) => distances + 2,
            };
            scores.push(table[row * heads + head]);
        }
    }
    Array::new(&[heads, tokens, tokens], scores)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_kind_of_relative_positions_is_read_and_no_other() {
        let describe = |more: &Value| {
            let mut config = json!({"model_type": "beit"});
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            describe(&config, None)
        };
        let base = describe(&json!({"use_relative_position_bias": true})).unwrap();
        assert_eq!((base.pooling, base.tokens((224, 224))), (Pooling::Mean, 197));
        let shared = describe(&json!({"use_shared_relative_position_bias": true, "use_mean_pooling": false})).unwrap();
        assert_eq!(shared.pooling, Pooling::Cls);
        for wrong in [
            json!({}),
            json!({"use_relative_position_bias": true, "use_shared_relative_position_bias": true}),
            json!({"use_relative_position_bias": true, "use_absolute_position_embeddings": true}),
            json!({"use_relative_position_bias": true, "image_size": [224, 448]}),
        ] {
            assert_eq!(describe(&wrong).unwrap_err().kind(), ErrorKind::Unsupported, "{wrong}");
        }
        assert!(base.for_images((448, 448), true).is_err());
    }
}
