//! Moving weights to a device.

use candle_core::{DType, Device, Result, Tensor};

use crate::model::{AttentionPool, Block, Conv, ConvStage, Linear, Mlp, Norm, Stem, VisionTransformer};

/// Where the weights go, and as what.
struct Target<'a> {
    device: &'a Device,
    dtype: DType,
}

/// `model` with its weights on `device` as `dtype`.
pub(super) fn to_device(model: VisionTransformer, device: &Device, dtype: DType) -> Result<VisionTransformer> {
    let to = Target { device, dtype };
    Ok(VisionTransformer {
        stem: to.stem(&model.stem)?,
        patch_norm: model.patch_norm.as_ref().map(|n| to.norm(n)).transpose()?,
        prefix: model.prefix.as_ref().map(|t| to.tensor(t)).transpose()?,
        pre_norm: model.pre_norm.as_ref().map(|n| to.norm(n)).transpose()?,
        // One by one, so that no more than one block is in memory twice.
        blocks: model.blocks.into_iter().map(|b| to.block(&b)).collect::<Result<_>>()?,
        post_norm: model.post_norm.as_ref().map(|n| to.norm(n)).transpose()?,
        pooled_norm: model.pooled_norm.as_ref().map(|n| to.norm(n)).transpose()?,
        pool: model.pool.as_ref().map(|p| to.pool(p)).transpose()?,
        head: model.head.as_ref().map(|l| to.linear(l)).transpose()?,
        positions: model.positions,
        architecture: model.architecture,
    })
}

impl Target<'_> {
    fn tensor(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_device(self.device)?.to_dtype(self.dtype)?.contiguous()
    }

    fn optional(&self, tensor: Option<&Tensor>) -> Result<Option<Tensor>> {
        tensor.map(|tensor| self.tensor(tensor)).transpose()
    }

    fn stem(&self, stem: &Stem) -> Result<Stem> {
        Ok(match stem {
            Stem::Patches(patches) => Stem::Patches(self.linear(patches)?),
            Stem::Convolutions(stages) => {
                Stem::Convolutions(stages.iter().map(|stage| self.stage(stage)).collect::<Result<_>>()?)
            }
        })
    }

    fn stage(&self, stage: &ConvStage) -> Result<ConvStage> {
        let pairs = stage.pairs.iter().map(|(a, b)| Ok((self.conv(a)?, self.conv(b)?))).collect::<Result<_>>()?;
        Ok(ConvStage { down: self.conv(&stage.down)?, pairs })
    }

    fn conv(&self, conv: &Conv) -> Result<Conv> {
        Ok(Conv { weight: self.tensor(&conv.weight)?, bias: self.tensor(&conv.bias)? })
    }

    fn norm(&self, norm: &Norm) -> Result<Norm> {
        Ok(Norm { weight: self.tensor(&norm.weight)?, bias: self.optional(norm.bias.as_ref())? })
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        Ok(Linear { weight: self.tensor(&linear.weight)?, bias: self.optional(linear.bias.as_ref())? })
    }

    fn mlp(&self, mlp: &Mlp) -> Result<Mlp> {
        Ok(Mlp { fc1: self.linear(&mlp.fc1)?, fc2: self.linear(&mlp.fc2)? })
    }

    fn block(&self, block: &Block) -> Result<Block> {
        Ok(Block {
            norm1: self.norm(&block.norm1)?,
            qkv: self.linear(&block.qkv)?,
            scores: self.optional(block.scores.as_ref())?,
            out: self.linear(&block.out)?,
            norm2: self.norm(&block.norm2)?,
            mlp: self.mlp(&block.mlp)?,
        })
    }

    fn pool(&self, pool: &AttentionPool) -> Result<AttentionPool> {
        let mlp = match &pool.mlp {
            Some((norm, mlp)) => Some((self.norm(norm)?, self.mlp(mlp)?)),
            None => None,
        };
        Ok(AttentionPool {
            query: self.tensor(&pool.query)?,
            kv: self.linear(&pool.kv)?,
            out: self.linear(&pool.out)?,
            mlp,
        })
    }
}
