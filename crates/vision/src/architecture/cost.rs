//! What a model takes: memory and multiply-adds per image.

use imbed_core::Requirements;

use super::{Architecture, ImageShape, MlpKind, StemShape, halved};

impl Architecture {
    /// What one loaded copy takes, given the size of its weight files; for images in their own proportions, what the
    /// largest takes.
    pub fn requirements(&self, weights_bytes: u64) -> Requirements {
        let tokens = self.most_tokens();
        let pixels = match (self.image, &self.stem) {
            (ImageShape::Fixed(rows, columns), _) => 3 * rows * columns,
            (ImageShape::Patches(most), StemShape::Patches(rows, columns)) => 3 * most * rows * columns,
            (ImageShape::Patches(_), StemShape::Convolutions(_)) => 0,
        };
        // The residual stream, its norm, the wider of queries-keys-values and the MLP's middle, and one head's scores,
        // all f32.
        let floats = pixels + tokens * (2 * self.hidden + self.middle().max(3 * self.hidden)) + tokens * tokens;
        Requirements {
            weights_bytes: Some(weights_bytes),
            bytes_per_image: Some(4 * floats as u64),
            macs_per_image: Some(self.macs()),
        }
    }

    fn most_tokens(&self) -> usize {
        match self.image {
            ImageShape::Fixed(rows, columns) => self.tokens((rows, columns)),
            ImageShape::Patches(most) => most + self.prefix,
        }
    }

    /// Numbers per token that the first product of the MLP gives.
    pub fn middle(&self) -> usize {
        match self.mlp {
            MlpKind::Plain => self.intermediate,
            MlpKind::Gated => 2 * self.intermediate,
        }
    }

    /// Multiply-adds per image: the stem, four square products and the products of the MLP per block, the two products
    /// of attention, the pooling, the head.
    fn macs(&self) -> u64 {
        let wide = |n: usize| n as u128;
        let (tokens, hidden) = (wide(self.most_tokens()), wide(self.hidden));
        let mlp = hidden * (wide(self.middle()) + wide(self.intermediate));
        let block = tokens * (4 * hidden * hidden + mlp) + 2 * tokens * tokens * hidden;
        let pool = self.attention_pool.map_or(0, |pool| {
            2 * tokens * hidden * wide(self.heads) + 2 * hidden * hidden + if pool.mlp { mlp } else { 0 }
        });
        let head = self.head.map_or(0, |head| hidden * wide(head.width));
        u64::try_from(self.stem_macs() + wide(self.layers) * block + pool + head).unwrap_or(u64::MAX)
    }

    fn stem_macs(&self) -> u128 {
        match (&self.stem, self.image) {
            (StemShape::Patches(height, width), _) => {
                ((self.most_tokens() - self.prefix) * 3) as u128 * (height * width) as u128 * self.hidden as u128
            }
            (StemShape::Convolutions(stages), ImageShape::Fixed(height, width)) => {
                let (mut height, mut width, mut from, mut macs) = (height, width, 3, 0);
                for &(channels, pairs) in stages {
                    (height, width) = (halved(height), halved(width));
                    macs += (height * width * 9) as u128 * channels as u128 * (from + 2 * pairs * channels) as u128;
                    from = channels;
                }
                macs
            }
            (StemShape::Convolutions(_), ImageShape::Patches(_)) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{Family, PositionShape, Resized, tests::clip_b32};

    #[test]
    fn clip_b32_takes_4_4_billion_multiply_adds_per_image() {
        let macs = clip_b32().requirements(0).macs_per_image.unwrap();
        assert!((4.3e9..4.5e9).contains(&(macs as f64)), "{macs}");
        assert_eq!(clip_b32().tokens((224, 224)), 50);
    }

    #[test]
    fn the_largest_sizes_that_are_accepted_do_not_overflow() {
        let most = 1 << 16;
        let positions = PositionShape::Learnt { grid: (1, 1), resized: Resized::Never };
        let image = ImageShape::Fixed(most, most);
        let largest = Architecture { image, positions, hidden: most, intermediate: most, heads: 1, ..clip_b32() };
        let largest = Architecture {
            layers: most,
            stem: StemShape::Patches(most, most),
            family: Family::Dinov2,
            mlp: MlpKind::Gated,
            ..largest
        };
        let largest = largest.checked().unwrap();
        assert!(largest.requirements(0).macs_per_image.is_some());
    }
}
