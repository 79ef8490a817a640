//! The two passes over 16-bit and float samples: sums in `f64`, rows between the passes in `f32`, rounded once at the end.

use super::{Filter, Job, coefficients::Axis, nearest};

/// A sample wider than a byte.
pub(super) trait Wide: Copy + Default {
    /// The largest alpha.
    const OPAQUE: f32;
    /// As a float, exactly.
    fn widen(self) -> f32;
    /// The nearest sample.
    fn narrow(value: f32) -> Self;
}

impl Wide for u16 {
    const OPAQUE: f32 = 65535.0;
    fn widen(self) -> f32 {
        f32::from(self)
    }
    fn narrow(value: f32) -> Self {
        // A cast from float saturates.
        value.round() as Self
    }
}

impl Wide for f32 {
    const OPAQUE: f32 = 1.0;
    fn widen(self) -> f32 {
        self
    }
    fn narrow(value: f32) -> Self {
        value
    }
}

/// Resizes the window of `job`; `weigh` weighs colours by the alpha in the last channel.
pub(super) fn resize<T: Wide>(source: &[T], job: &Job, weigh: bool) -> Vec<T> {
    let (window, c) = (job.window, job.channels);
    let out_stride = window.width as usize * c;
    if job.filter == Filter::Nearest {
        let mut out = vec![T::default(); out_stride * window.height as usize];
        nearest::resize(source, job, &mut out);
        return out;
    }
    let (across, down) = (window.x..window.x + window.width, window.y..window.y + window.height);
    let columns = Axis::new(job.from.0, job.covers.0, job.to.0, across, job.filter);
    let rows = Axis::new(job.from.1, job.covers.1, job.to.1, down, job.filter);

    let mut between = Vec::with_capacity(out_stride * job.from.1 as usize);
    let mut row = Vec::new();
    for source in source.chunks_exact(job.from.0 as usize * c) {
        row.clear();
        row.extend(source.iter().map(|s| s.widen()));
        if weigh {
            scale_colours(&mut row, c, |alpha| alpha / T::OPAQUE);
        }
        for (sources, weights) in columns.taps() {
            let pixels = &row[sources.start * c..sources.end * c];
            between.extend((0..c).map(|channel| dot(pixels.iter().skip(channel).step_by(c), weights)));
        }
    }

    let mut out = Vec::with_capacity(out_stride * window.height as usize);
    for (sources, weights) in rows.taps() {
        let above = &between[sources.start * out_stride..sources.end * out_stride];
        row.clear();
        row.extend((0..out_stride).map(|i| dot(above.iter().skip(i).step_by(out_stride), weights)));
        if weigh {
            scale_colours(&mut row, c, |alpha| if alpha == 0.0 { 1.0 } else { T::OPAQUE / alpha });
        }
        out.extend(row.iter().map(|v| T::narrow(*v)));
    }
    out
}

fn dot<'a>(samples: impl Iterator<Item = &'a f32>, weights: &[f64]) -> f32 {
    samples.zip(weights).map(|(sample, weight)| f64::from(*sample) * weight).sum::<f64>() as f32
}

fn scale_colours(row: &mut [f32], channels: usize, factor: impl Fn(f32) -> f32) {
    for pixel in row.chunks_exact_mut(channels) {
        if let Some((alpha, colours)) = pixel.split_last_mut() {
            let factor = factor(*alpha);
            for colour in colours {
                *colour *= factor;
            }
        }
    }
}
