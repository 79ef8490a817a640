//! The same model over other tensors.

use super::{AttentionPool, Block, Conv, ConvStage, Linear, Mlp, Norm, Stem, VisionTransformer};

impl<T> VisionTransformer<T> {
    /// The model with each tensor replaced by what `f` makes of it.
    ///
    /// Tensors are given away one by one, first to last, so that never more than one of them is in memory twice.
    pub fn try_map<U, E>(self, mut f: impl FnMut(T) -> Result<U, E>) -> Result<VisionTransformer<U>, E> {
        let f = &mut f;
        Ok(VisionTransformer {
            architecture: self.architecture,
            stem: self.stem.try_map(f)?,
            patch_norm: self.patch_norm.map(|norm| norm.try_map(f)).transpose()?,
            prefix: self.prefix.map(&mut *f).transpose()?,
            positions: self.positions,
            pre_norm: self.pre_norm.map(|norm| norm.try_map(f)).transpose()?,
            blocks: self.blocks.into_iter().map(|block| block.try_map(f)).collect::<Result<_, E>>()?,
            post_norm: self.post_norm.map(|norm| norm.try_map(f)).transpose()?,
            pool: self.pool.map(|pool| pool.try_map(f)).transpose()?,
            pooled_norm: self.pooled_norm.map(|norm| norm.try_map(f)).transpose()?,
            head: self.head.map(|head| head.try_map(f)).transpose()?,
        })
    }
}

impl<T> Stem<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<Stem<U>, E> {
        Ok(match self {
            Self::Patches(patches) => Stem::Patches(patches.try_map(f)?),
            Self::Convolutions(stages) => {
                Stem::Convolutions(stages.into_iter().map(|stage| stage.try_map(f)).collect::<Result<_, E>>()?)
            }
        })
    }
}

impl<T> ConvStage<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<ConvStage<U>, E> {
        let down = self.down.try_map(f)?;
        let pairs = self.pairs.into_iter().map(|(first, second)| Ok((first.try_map(f)?, second.try_map(f)?)));
        Ok(ConvStage { down, pairs: pairs.collect::<Result<_, E>>()? })
    }
}

impl<T> Conv<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<Conv<U>, E> {
        Ok(Conv { weight: f(self.weight)?, bias: f(self.bias)? })
    }
}

impl<T> Block<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<Block<U>, E> {
        Ok(Block {
            norm1: self.norm1.try_map(f)?,
            qkv: self.qkv.try_map(f)?,
            scores: self.scores.map(&mut *f).transpose()?,
            out: self.out.try_map(f)?,
            norm2: self.norm2.try_map(f)?,
            mlp: self.mlp.try_map(f)?,
        })
    }
}

impl<T> Mlp<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<Mlp<U>, E> {
        Ok(Mlp { fc1: self.fc1.try_map(f)?, fc2: self.fc2.try_map(f)? })
    }
}

impl<T> AttentionPool<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<AttentionPool<U>, E> {
        let mlp = match self.mlp {
            Some((norm, mlp)) => Some((norm.try_map(f)?, mlp.try_map(f)?)),
            None => None,
        };
        Ok(AttentionPool {
            query: f(self.query)?,
            query_product: self.query_product.map(|product| product.try_map(f)).transpose()?,
            kv: self.kv.try_map(f)?,
            out: self.out.try_map(f)?,
            mlp,
        })
    }
}

impl<T> Linear<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<Linear<U>, E> {
        Ok(Linear { weight: f(self.weight)?, bias: self.bias.map(f).transpose()? })
    }
}

impl<T> Norm<T> {
    fn try_map<U, E>(self, f: &mut impl FnMut(T) -> Result<U, E>) -> Result<Norm<U>, E> {
        Ok(Norm { weight: f(self.weight)?, bias: self.bias.map(f).transpose()? })
    }
}
