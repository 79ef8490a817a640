//! Refusing what could not be computed, whether a config says it or a descriptor that came over a wire.

use imbed_core::{Error, ErrorKind, Result, options::Pooling};

use super::{Architecture, Family, ImageShape, MlpKind, NormKind, PositionShape, Resized, StemShape};

/// Far above any published model, and low enough that no product of two overflows.
const MOST: usize = 1 << 16;
/// Tokens of one image: the scores of one attention head are the square of it, 4 GiB of f32 here.
const MOST_TOKENS: usize = 1 << 15;
/// Numbers of one block's relative positions, which are kept for all pairs of tokens: 256 MiB of f32.
const MOST_SCORES: usize = 1 << 26;

impl Architecture {
    /// Refuses what could not be computed, naming the numbers that do not fit.
    pub fn checked(self) -> Result<Self> {
        let problem = self
            .sizes()
            .or_else(|| self.stem_problem())
            .or_else(|| self.position_problem())
            .or_else(|| self.pooling_problem())
            .or_else(|| self.family_problem());
        match problem {
            None => Ok(self),
            Some(message) => {
                Err(Error::new(ErrorKind::Model, message).hint("compare config.json with the published checkpoint's"))
            }
        }
    }

    fn sizes(&self) -> Option<String> {
        let head = self.head.map_or(1, |head| head.width);
        let mut sizes = vec![self.hidden, self.intermediate, self.layers, self.heads, head];
        match self.image {
            ImageShape::Fixed(rows, columns) => sizes.extend([rows, columns]),
            ImageShape::Patches(most) => sizes.push(most),
        }
        if sizes.iter().any(|size| !(1..=MOST).contains(size)) || self.prefix > 1 << 10 {
            return Some(format!("config.json gives a size outside 1 to {MOST} among {sizes:?}"));
        }
        if !self.hidden.is_multiple_of(self.heads) {
            return Some(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden, self.heads
            ));
        }
        if !(0.0..1.0).contains(&self.norm_eps) {
            return Some(format!("layer_norm_eps {} is not a small positive number", self.norm_eps));
        }
        None
    }

    fn stem_problem(&self) -> Option<String> {
        match (&self.stem, self.image) {
            (StemShape::Patches(height, width), ImageShape::Fixed(rows, columns)) => {
                let fits = (1..=rows).contains(height) && (1..=columns).contains(width);
                (!fits).then(|| format!("a patch of {height} x {width} does not fit an image of {rows} x {columns}"))
            }
            (StemShape::Patches(height, width), ImageShape::Patches(_)) => {
                let fits = (1..=MOST).contains(height) && (1..=MOST).contains(width);
                (!fits).then(|| format!("a patch of {height} x {width} is not one that can be computed"))
            }
            (StemShape::Convolutions(stages), ImageShape::Fixed(..)) => {
                if stages.len() > 8 || stages.iter().any(|(c, pairs)| !(1..=MOST).contains(c) || *pairs > 1 << 10) {
                    return Some(format!("the stem {stages:?} is not one that can be computed"));
                }
                let ends = stages.last().is_some_and(|(channels, _)| *channels == self.hidden);
                (!ends).then(|| format!("the stem {stages:?} does not end in hidden_size {}", self.hidden))
            }
            (StemShape::Convolutions(_), ImageShape::Patches(_)) => {
                Some("a stem of convolutions reads images of one size".to_owned())
            }
        }
    }

    fn position_problem(&self) -> Option<String> {
        let tokens = match self.image {
            ImageShape::Fixed(rows, columns) => self.tokens((rows, columns)),
            ImageShape::Patches(most) => most + self.prefix,
        };
        if tokens > MOST_TOKENS {
            return Some(format!("an image makes {tokens} tokens, where at most {MOST_TOKENS} can be computed"));
        }
        match self.positions {
            PositionShape::Learnt { grid: (rows, columns), resized } => {
                if !(1..=MOST).contains(&rows) || !(1..=MOST).contains(&columns) || rows * columns > MOST_TOKENS {
                    return Some(format!("positions for a grid of {rows} x {columns} patches cannot be computed"));
                }
                let own = match self.image {
                    ImageShape::Fixed(height, width) => self.grid((height, width)) == (rows, columns),
                    ImageShape::Patches(_) => false,
                };
                // The reference takes the grid of positions for a square before it resamples.
                let can = resized != Resized::Never && rows == columns;
                (!own && !can).then(|| format!("positions for {rows} x {columns} patches do not fit the image"))
            }
            PositionShape::Waves => (!self.hidden.is_multiple_of(4))
                .then(|| format!("hidden_size {} is not a multiple of 4, as its positions need", self.hidden)),
            PositionShape::Relative => {
                let square = tokens * tokens * self.heads;
                (square > MOST_SCORES || matches!(self.image, ImageShape::Patches(_))).then(|| {
                    format!("relative positions of {tokens} tokens and {} heads cannot be computed", self.heads)
                })
            }
            PositionShape::Rotary { theta } => {
                if !theta.is_finite() || theta <= 0.0 {
                    return Some(format!("rope_theta {theta} is not a positive number"));
                }
                let size = self.head_size();
                (!size.is_multiple_of(4))
                    .then(|| format!("attention heads of {size} numbers are not a multiple of 4, as rotation needs"))
            }
        }
    }

    /// A family's file reads the tensors of its own parts: another's would be missing, or left out without a word.
    fn family_problem(&self) -> Option<String> {
        use Family::{Aimv2, Beit, Clip, Deit, Dinov2, Dinov3, Siglip, Siglip2, Tiny, Vit};
        let family = self.family;
        let prefix = match family {
            Siglip | Siglip2 | Aimv2 | Tiny => self.prefix == 0,
            Clip | Vit | Beit => self.prefix == 1,
            Deit => self.prefix == 2,
            Dinov2 | Dinov3 => self.prefix >= 1,
        };
        let positions = match self.positions {
            PositionShape::Learnt { .. } => !matches!(family, Dinov3 | Beit),
            PositionShape::Waves => family == Aimv2,
            PositionShape::Rotary { .. } => family == Dinov3,
            PositionShape::Relative => family == Beit,
        };
        let mlp = match self.mlp {
            MlpKind::Plain => family != Aimv2,
            MlpKind::Gated => matches!(family, Aimv2 | Dinov2 | Dinov3),
        };
        let pool = self.attention_pool.is_none_or(|pool| match family {
            Siglip | Siglip2 => pool.mlp,
            Aimv2 => !pool.mlp,
            _ => false,
        });
        let norm = (self.norm == NormKind::Rms) == (family == Aimv2);
        let image = matches!(self.image, ImageShape::Patches(_)) == (family == Siglip2);
        let parts = [prefix, positions, mlp, pool, norm, image];
        let names = ["tokens before the patches", "positions", "MLP", "attention pooling", "norm", "image size"];
        let wrong = names.iter().zip(parts).find(|(_, right)| !right);
        wrong.map(|(name, _)| format!("{family:?} does not have this {name}"))
    }

    fn pooling_problem(&self) -> Option<String> {
        let offered = if self.poolings.is_empty() { &[self.pooling][..] } else { &self.poolings };
        let possible = match self.pooling {
            Pooling::Cls => self.prefix > 0 && self.attention_pool.is_none(),
            Pooling::Mean => self.attention_pool.is_none(),
            Pooling::Pooler => self.attention_pool.is_some() || (self.prefix > 0 && self.head.is_some()),
        };
        (!possible || !offered.contains(&self.pooling))
            .then(|| format!("pooling '{}' does not go with the rest of the model", self.pooling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        activation::Activation,
        architecture::{AttentionPoolShape, HeadShape, tests::clip_b32},
        interpolate::Resample,
    };

    #[test]
    fn numbers_that_do_not_fit_are_refused_by_name() {
        let heads = Architecture { heads: 7, ..clip_b32() }.checked().unwrap_err();
        assert!(heads.message().contains("num_attention_heads 7"), "{heads}");
        let image = ImageShape::Fixed;
        for wrong in [
            Architecture { hidden: 0, ..clip_b32() },
            Architecture { hidden: usize::MAX, ..clip_b32() },
            Architecture { image: image(16, 224), ..clip_b32() },
            Architecture { image: image(usize::MAX, 224), ..clip_b32() },
            Architecture { image: ImageShape::Patches(0), ..clip_b32() },
            Architecture { image: ImageShape::Patches(1 << 16), ..clip_b32() },
            Architecture { prefix: usize::MAX, ..clip_b32() },
            Architecture { norm_eps: -1.0, ..clip_b32() },
            Architecture { norm_eps: f64::NAN, ..clip_b32() },
        ] {
            let told = format!("{wrong:?}");
            assert!(wrong.checked().is_err(), "{told}");
        }
    }

    #[test]
    fn positions_that_do_not_fit_are_refused() {
        let learnt = |grid, resized| PositionShape::Learnt { grid, resized };
        let rotary = |theta| PositionShape::Rotary { theta };
        let always = Resized::Always(Resample::Bicubic);
        for positions in [
            learnt((8, 8), Resized::Never),
            learnt((7, 8), always),
            learnt((0, 7), always),
            learnt((usize::MAX, 2), always),
            rotary(0.0),
            rotary(f64::INFINITY),
        ] {
            assert!(Architecture { positions, ..clip_b32() }.checked().is_err(), "{positions:?}");
        }
        assert!(Architecture { positions: rotary(100.0), heads: 128, ..clip_b32() }.checked().is_err());
        let dinov3 = Architecture { family: Family::Dinov3, positions: rotary(100.0), ..clip_b32() };
        assert!(dinov3.checked().is_ok());
        assert!(Architecture { positions: learnt((8, 8), always), ..clip_b32() }.checked().is_ok());
        let odd = Architecture { hidden: 6, heads: 1, positions: PositionShape::Waves, ..clip_b32() };
        assert!(odd.checked().is_err());
    }

    #[test]
    fn parts_of_another_family_are_refused_by_name() {
        let rms = Architecture { norm: NormKind::Rms, ..clip_b32() }.checked().unwrap_err();
        assert!(rms.message().contains("Clip does not have this norm"), "{rms}");
        let pooler = (Pooling::Pooler, Some(AttentionPoolShape { mlp: true }));
        for wrong in [
            Architecture { prefix: 2, ..clip_b32() },
            Architecture { mlp: MlpKind::Gated, ..clip_b32() },
            Architecture { positions: PositionShape::Waves, ..clip_b32() },
            Architecture { family: Family::Dinov3, ..clip_b32() },
            Architecture { pooling: pooler.0, attention_pool: pooler.1, ..clip_b32() },
            Architecture { image: ImageShape::Patches(49), ..clip_b32() },
        ] {
            let told = format!("{wrong:?}");
            assert!(wrong.checked().unwrap_err().message().contains("does not have this"), "{told}");
        }
    }

    #[test]
    fn poolings_that_have_nothing_to_read_are_refused() {
        for wrong in [
            Architecture { prefix: 0, ..clip_b32() },
            Architecture { pooling: Pooling::Pooler, head: None, ..clip_b32() },
            Architecture { poolings: vec![Pooling::Mean], ..clip_b32() },
            Architecture { attention_pool: Some(AttentionPoolShape { mlp: true }), ..clip_b32() },
        ] {
            let told = format!("{wrong:?}");
            assert!(wrong.checked().is_err(), "{told}");
        }
        let head = Some(HeadShape { width: 5, bias: true, activation: Some(Activation::Tanh) });
        assert!(Architecture { pooling: Pooling::Pooler, head, ..clip_b32() }.checked().is_ok());
    }

    #[test]
    fn more_tokens_than_memory_holds_are_refused() {
        let many = Architecture { stem: StemShape::Patches(1, 1), ..clip_b32() }.checked().unwrap_err();
        assert!(many.message().contains("50177 tokens"), "{many}");
    }
}
