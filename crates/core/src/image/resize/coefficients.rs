//! The weights of one axis: which source samples make each output sample, and how much of each.

use std::ops::Range;

use super::Filter;

/// Bits after the point of a fixed-point weight: what a 32-bit sum of 8-bit samples leaves, less two for the sums of
/// filters with negative lobes (Pillow's choice).
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The weights for a range of outputs along one axis.
#[derive(Debug)]
pub(super) struct Axis<W> {
    /// First source sample of each output, and how many follow.
    bounds: Vec<(usize, usize)>,
    /// `[outputs, stride]`; those beyond an output's own number are unused.
    weights: Vec<W>,
    stride: usize,
}

impl Axis<f64> {
    /// Weights, summing to 1 for each output, that turn `from` samples into `to`, for the outputs `range` of those. The
    /// picture covers `covers` of the samples: all, or it ends within the last one.
    pub(super) fn new(from: u32, covers: f64, to: u32, range: Range<u32>, filter: Filter) -> Self {
        let scale = covers / f64::from(to);
        // Enlarging leaves the filter as wide as it is; reducing stretches it.
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let stride = (support.ceil() as usize * 2 + 1).min(from as usize);
        let mut bounds = Vec::with_capacity(range.len());
        let mut weights = vec![0.0; range.len() * stride];
        for (output, weights) in range.zip(weights.chunks_exact_mut(stride)) {
            let center = (f64::from(output) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            let weights = &mut weights[..end - start];
            let mut sum = 0.0;
            for (sample, weight) in (start..end).zip(weights.iter_mut()) {
                // A product with the reciprocal and not a quotient: the last bit can matter.
                *weight = filter.weight((sample as f64 - center + 0.5) * (1.0 / stretch));
                sum += *weight;
            }
            if sum != 0.0 {
                for weight in weights {
                    *weight /= sum;
                }
            }
            bounds.push((start, end - start));
        }
        Self { bounds, weights, stride }
    }

    /// The same in fixed point, rounded half away from zero.
    pub(super) fn fixed(&self) -> Axis<i32> {
        let one = f64::from(1 << PRECISION_BITS);
        let weights = self.weights.iter().map(|w| (w * one + 0.5_f64.copysign(*w)) as i32).collect();
        Axis { bounds: self.bounds.clone(), weights, stride: self.stride }
    }
}

impl<W> Axis<W> {
    /// For each output in order: its source samples and their weights.
    pub(super) fn taps(&self) -> impl Iterator<Item = (Range<usize>, &[W])> {
        self.bounds
            .iter()
            .zip(self.weights.chunks_exact(self.stride))
            .map(|(&(start, len), weights)| (start..start + len, &weights[..len]))
    }

    /// All source samples that any output needs.
    pub(super) fn sources(&self) -> Range<usize> {
        // Both ends move in one direction only.
        let start = self.bounds.first().map_or(0, |b| b.0);
        let end = self.bounds.last().map_or(0, |b| b.0 + b.1);
        start..end
    }

    /// Counts source samples from `first` on.
    pub(super) fn rebase(&mut self, first: usize) {
        for (start, _) in &mut self.bounds {
            *start -= first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        for filter in Filter::ALL {
            for (from, to) in [(1, 1), (1, 7), (7, 1), (100, 33), (33, 100), (1000, 3)] {
                for (_, weights) in Axis::new(from, from.into(), to, 0..to, filter).taps() {
                    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{filter:?} {from} {to}");
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_outputs_has_the_weights_of_the_whole() {
        let whole = Axis::new(500, 500.0, 224, 0..224, Filter::Bicubic);
        let part = Axis::new(500, 500.0, 224, 50..60, Filter::Bicubic);
        assert!(part.taps().eq(whole.taps().skip(50).take(10)));
    }

    #[test]
    fn a_picture_that_ends_within_a_sample_is_read_up_to_there() {
        let centres = |axis: &Axis<f64>| -> Vec<f64> {
            let centre =
                |(sources, weights): (Range<usize>, &[f64])| sources.zip(weights).map(|(i, w)| i as f64 * w).sum();
            axis.taps().map(centre).collect()
        };
        let axis = |covers: f64| Axis::new(50, covers, 10, 0..10, Filter::Bilinear);
        let (all, part) = (axis(50.0), axis(49.5));
        for (i, (all, part)) in centres(&all).into_iter().zip(centres(&part)).enumerate().skip(2).take(6) {
            let expected = (i as f64 + 0.5) * 4.95 - 0.5;
            assert!((part - expected).abs() < 0.05 && part < all, "{i}: {part} {expected}");
        }
    }

    #[test]
    fn fixed_point_rounds_half_away_from_zero() {
        let half = 0.5 / f64::from(1 << PRECISION_BITS);
        let axis = Axis { bounds: vec![(0, 2)], weights: vec![half, -half], stride: 2 };
        assert_eq!(axis.fixed().weights, [1, -1]);
    }
}
