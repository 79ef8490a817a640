//! Numbers that are drawn, the same from the same seed.

use std::f64::consts::TAU;

/// Draws of a normal distribution, of which a checkpoint needs hundreds of millions: each is picked from a table of
/// 65,536.
pub(crate) struct Normal {
    table: Vec<f32>,
    random: fastrand::Rng,
}

impl Normal {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Box and Muller.
        let mut draw = || (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos();
        let table: Vec<f64> = (0..1 << 16).map(|_| draw()).collect();
        let count = table.len() as f64;
        let mean = table.iter().sum::<f64>() / count;
        let deviation = (table.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { table: table.into_iter().map(|x| ((x - mean) / deviation) as f32).collect(), random }
    }

    /// Four of them, with a mean of 0 and a standard deviation of 1.
    pub(crate) fn four(&mut self) -> [f32; 4] {
        let bits = self.random.u64(..);
        [0, 16, 32, 48].map(|shift| self.table[(bits >> shift & 0xffff) as usize])
    }
}
