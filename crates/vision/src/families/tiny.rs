//! `imbed/tiny`, the built-in model: four strided convolutions, a small transformer over the 4 x 4 positions that are
//! left, the mean of its tokens, a projection, unit length. `models/tiny/model.py` trains it and describes it exactly.

use imbed_core::{Result, options::Pooling};
use serde_json::Value;

use super::{config::Config, learnt, learnt_rows, no_such_pooling, reader::Reader};
use crate::{
    architecture::{
        Architecture, Biases, Family, HeadShape, ImageShape, MlpKind, NormKind, PositionShape, Resized, StemShape,
        halved,
    },
    model::{Block, ConvStage, Stem, VisionTransformer},
    weights::Checkpoint,
};

/// Reads a config; absent keys have the built-in model's values.
pub(super) fn describe(config: &Value, pooling: Option<Pooling>) -> Result<Architecture> {
    if let Some(pooling) = pooling {
        return Err(no_such_pooling("imbed/tiny, whose projection reads the mean", pooling, &[]));
    }
    let config = Config(config);
    config.require_rgb()?;
    let pairs = config.sizes("residual_blocks")?;
    let channels = config.sizes("stem_channels")?;
    let stages: Vec<_> = channels.into_iter().zip(pairs.into_iter().chain(std::iter::repeat(0))).collect();
    let image = config.size_2d("image_size", 64)?;
    let grid = stages.iter().fold(image, |(rows, columns), _| (halved(rows), halved(columns)));
    let head = HeadShape { width: config.size("projection_dim", 256)?, bias: true, activation: None };
    Ok(Architecture {
        family: Family::Tiny,
        image: ImageShape::Fixed(image.0, image.1),
        stem: StemShape::Convolutions(stages),
        prefix: 0,
        positions: PositionShape::Learnt { grid, resized: Resized::Never },
        hidden: config.size("hidden_size", 256)?,
        intermediate: config.size("intermediate_size", 1024)?,
        layers: config.size("num_hidden_layers", 4)?,
        heads: config.size("num_attention_heads", 4)?,
        mlp: MlpKind::Plain,
        activation: config.activation("hidden_act", "gelu")?,
        norm: NormKind::Layer,
        norm_eps: config.number("layer_norm_eps", 1e-6)?,
        biases: Biases::ALL,
        pooling: Pooling::Mean,
        poolings: vec![],
        attention_pool: None,
        head: Some(head),
        normalized: true,
    })
}

/// Reads all tensors.
pub(super) fn load(
    shape: &Architecture,
    stages: &[(usize, usize)],
    mut checkpoint: Checkpoint,
) -> Result<VisionTransformer> {
    let hidden = shape.hidden;
    let blocks = Reader::blocks(&mut checkpoint, "blocks", shape.layers, |read| block(shape, read))?;
    let mut read = Reader::new(&mut checkpoint, "");
    let table = [learnt_rows(shape), hidden];
    let table = read.tensor("position_embedding", &table, &table)?;
    let model = VisionTransformer {
        architecture: shape.clone(),
        stem: Stem::Convolutions(stem(stages, &mut read)?),
        patch_norm: None,
        prefix: None,
        positions: learnt(shape, table)?,
        pre_norm: None,
        blocks,
        post_norm: Some(read.norm("norm", hidden)?),
        pool: None,
        pooled_norm: None,
        head: Some(read.linear("projection", shape.width(), hidden, true)?),
    };
    checkpoint.finish(|_| false)?;
    Ok(model)
}

/// The residual pairs are numbered through all stages.
fn stem(stages: &[(usize, usize)], read: &mut Reader<'_>) -> Result<Vec<ConvStage>> {
    let (mut stem, mut from, mut number) = (Vec::new(), 3, 0);
    for (i, &(to, count)) in stages.iter().enumerate() {
        let mut stage = ConvStage { down: read.conv(&format!("stem.{i}"), to, from)?, pairs: Vec::new() };
        for _ in 0..count {
            let first = read.conv(&format!("residual.{number}.conv1"), to, to)?;
            stage.pairs.push((first, read.conv(&format!("residual.{number}.conv2"), to, to)?));
            number += 1;
        }
        stem.push(stage);
        from = to;
    }
    Ok(stem)
}

fn block(shape: &Architecture, read: &mut Reader<'_>) -> Result<Block> {
    let (hidden, middle) = (shape.hidden, shape.intermediate);
    Ok(Block {
        norm1: read.norm("norm1", hidden)?,
        qkv: read.linear("qkv", 3 * hidden, hidden, true)?,
        scores: None,
        out: read.linear("proj", hidden, hidden, true)?,
        norm2: read.norm("norm2", hidden)?,
        mlp: read.mlp(["fc1", "fc2"], middle, hidden, true)?,
    })
}
