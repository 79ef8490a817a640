//! Resampling a grid of learnt positions to another size, as `torch.nn.functional.interpolate` does it with
//! `align_corners=False`.
//!
//! The arithmetic of weights is torch's, in f32, in its order and with its fused multiply-adds, because a weight that is rounded otherwise is another
//! position. (One exception: torch 2.11 computes an antialiased grid of a single column otherwise than it defines it on the
//! CPU; the definition is kept.) Without antialiasing a cubic has a = -0.75 and four taps wherever the grid shrinks to; with it, a = -0.5 and
//! as many taps as one step of the new grid spans.

use serde::{Deserialize, Serialize};

/// A way of resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// `mode="bicubic"`.
    Bicubic,
    /// `mode="bicubic", antialias=True`.
    BicubicAntialiased,
    /// `mode="bilinear", antialias=True`.
    BilinearAntialiased,
}

/// What one number of an axis is made of.
struct Taps(Vec<(usize, f32)>);

/// The grid `table`, `[rows, columns, channels]` with `from` rows and columns, as one of `to` rows and columns.
pub(crate) fn resample(
    table: &[f32],
    channels: usize,
    from: (usize, usize),
    to: (usize, usize),
    how: Resample,
) -> Vec<f32> {
    if from == to {
        return table.to_vec();
    }
    let mut narrowed = vec![0.0; from.0 * to.1 * channels];
    let columns = taps(from.1, to.1, how);
    for (line, out) in table.chunks_exact(from.1 * channels).zip(narrowed.chunks_exact_mut(to.1 * channels)) {
        for (taps, out) in columns.iter().zip(out.chunks_exact_mut(channels)) {
            taps.mix(line, channels, out);
        }
    }
    let stride = to.1 * channels;
    let mut out = vec![0.0; to.0 * stride];
    for (taps, out) in taps(from.0, to.0, how).iter().zip(out.chunks_exact_mut(stride)) {
        taps.mix(&narrowed, stride, out);
    }
    out
}

impl Taps {
    /// The weighted sum of rows of `width` numbers.
    fn mix(&self, rows: &[f32], width: usize, out: &mut [f32]) {
        for (row, weight) in &self.0 {
            let row = &rows[row * width..][..width];
            out.iter_mut().zip(row).for_each(|(out, x)| *out += weight * x);
        }
    }
}

/// For each place of the new axis, the places of the old one and their weights.
fn taps(from: usize, to: usize, how: Resample) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let place = |i: usize| match how {
        Resample::Bicubic => four_taps(scale.mul_add(i as f32 + 0.5, -0.5), from),
        Resample::BicubicAntialiased => spread_taps(scale * (i as f32 + 0.5), scale, 2.0, from, |x| cubic(x, -0.5)),
        Resample::BilinearAntialiased => {
            spread_taps(scale * (i as f32 + 0.5), scale, 1.0, from, |x| (1.0 - x.abs()).max(0.0))
        }
    };
    (0..to).map(place).collect()
}

/// The four neighbours of `x`; beyond an end, its last number stands for all.
fn four_taps(x: f32, from: usize) -> Taps {
    let first = x.floor();
    let t = (x - first).clamp(0.0, 1.0);
    let neighbour = |offset: f32| (first + offset).clamp(0.0, (from - 1) as f32) as usize;
    let weight = |distance: f32| cubic(distance, -0.75);
    Taps(vec![
        (neighbour(-1.0), weight(t + 1.0)),
        (neighbour(0.0), weight(t)),
        (neighbour(1.0), weight(1.0 - t)),
        (neighbour(2.0), weight(2.0 - t)),
    ])
}

/// All places that a filter of `radius`, as wide as a step of the new axis but no narrower than one of the old,
/// reaches around `center`.
fn spread_taps(center: f32, scale: f32, radius: f32, from: usize, filter: impl Fn(f32) -> f32) -> Taps {
    let wide = scale.max(1.0);
    let support = radius * wide;
    let first = (center - support + 0.5).max(0.0) as usize;
    let end = ((center + support + 0.5) as usize).min(from);
    let weights: Vec<f32> = (first..end).map(|i| filter((i as f32 - center + 0.5) * (1.0 / wide))).collect();
    let total: f32 = weights.iter().sum();
    Taps((first..end).zip(weights).map(|(i, weight)| (i, weight / total)).collect())
}

/// The convolution kernel of cubic interpolation with parameter `a` (Keys, 1981).
fn cubic(x: f32, a: f32) -> f32 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0).mul_add(x, -(a + 3.0)) * x).mul_add(x, 1.0)
    } else if x < 2.0 {
        a.mul_add(x, -5.0 * a).mul_add(x, 8.0 * a).mul_add(x, -4.0 * a)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::*;

    /// The file's tensors are called `method.rows.columns`, and `table` is what they were made of.
    #[test]
    fn agrees_with_torch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/interpolate/golden.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let read = |name: &str| -> Vec<f32> {
            let tensor = golden.tensor(name).unwrap();
            tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        let (table, shape) = (read("table"), golden.tensor("table").unwrap().shape().to_vec());
        let mut compared = 0;
        for name in golden.names() {
            let Some((method, size)) = name.split_once('.') else { continue };
            let (rows, columns) = size.split_once('.').unwrap();
            let to = (rows.parse().unwrap(), columns.parse().unwrap());
            let how = match method {
                "bicubic" => Resample::Bicubic,
                "bicubic_antialiased" => Resample::BicubicAntialiased,
                _ => Resample::BilinearAntialiased,
            };
            let ours = resample(&table, shape[2], (shape[0], shape[1]), to, how);
            for (ours, exact) in ours.iter().zip(read(name)) {
                assert!((ours - exact).abs() <= 1e-6 * (1.0 + exact.abs()), "{name}: {ours}, not {exact}");
            }
            compared += 1;
        }
        assert!(compared >= 12, "{compared} grids");
    }

    proptest! {
        #[test]
        fn a_flat_grid_stays_flat(from in (1_usize..9, 1_usize..9), to in (1_usize..20, 1_usize..20), value in -9_f32..9.0) {
            for how in [Resample::Bicubic, Resample::BicubicAntialiased, Resample::BilinearAntialiased] {
                let flat = vec![value; from.0 * from.1 * 2];
                for x in resample(&flat, 2, from, to, how) {
                    prop_assert!((x - value).abs() < 1e-4, "{how:?}: {x}, not {value}");
                }
            }
        }
    }
}
