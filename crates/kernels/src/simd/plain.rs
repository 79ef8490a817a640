//! Loops over small arrays, which compilers turn into whatever vectors the target has: SSE2 on x86-64, NEON on Arm.

use half::bf16;

use super::{
    Dot, Simd,
    tile::{Ahead, tile},
};

const LANES: usize = 8;
/// Sums of four rows fill half of SSE2's registers, those of eight half of NEON's.
const ROWS: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };

/// No instructions that the compilation target lacks.
#[derive(Clone, Copy)]
pub(super) struct Plain;

type F = [f32; LANES];

#[inline(always)]
fn map(x: F, f: impl Fn(f32) -> f32) -> F {
    std::array::from_fn(|i| f(x[i]))
}

#[inline(always)]
fn zip(a: F, b: F, f: impl Fn(f32, f32) -> f32) -> F {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// Fused only where that is an instruction and not a call.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

impl Simd for Plain {
    type F = F;
    const LANES: usize = LANES;
    const TILE_ROWS: usize = ROWS;
    const TILE_COLUMNS: usize = LANES;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> F {
        std::array::from_fn(|i| from[..LANES][i])
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> F {
        std::array::from_fn(|i| from.get(i).copied().unwrap_or(0.0))
    }
    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> F {
        std::array::from_fn(|i| from[..LANES][i].to_f32())
    }
    #[inline(always)]
    fn store(self, x: F, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&x);
    }
    #[inline(always)]
    fn store_part(self, x: F, to: &mut [f32]) {
        to.copy_from_slice(&x[..to.len()]);
    }
    #[inline(always)]
    fn store_bf16(self, x: F, to: &mut [bf16]) {
        for (to, x) in to[..LANES].iter_mut().zip(x) {
            *to = bf16::from_f32(x);
        }
    }
    #[inline(always)]
    fn store_u8(self, x: F, to: &mut [u8]) {
        for (to, x) in to[..LANES].iter_mut().zip(self.round(x)) {
            *to = x as u8;
        }
    }
    #[inline(always)]
    fn pair(self, low: F, high: F) -> F {
        zip(low, high, |low, high| f32::from_bits(low.to_bits() >> 16 | high.to_bits() & 0xffff_0000))
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn mul_add(self, a: F, b: F, c: F) -> F {
        std::array::from_fn(|i| mul_add(a[i], b[i], c[i]))
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self, x: F) -> F {
        // Adding and taking away 1.5 * 2^23 leaves no bits after the point. Larger numbers have none.
        const MAGIC: f32 = 12_582_912.0;
        map(x, |x| if x.abs() < 4_194_304.0 { (x + MAGIC) - MAGIC } else { x })
    }
    #[inline(always)]
    fn abs(self, x: F) -> F {
        map(x, f32::abs)
    }
    #[inline(always)]
    fn reciprocal(self, x: F) -> F {
        map(x, |x| 1.0 / x)
    }
    #[inline(always)]
    fn scale(self, x: F, n: F) -> F {
        zip(x, n, |x, n| x * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn where_negative(self, x: F, a: F, b: F) -> F {
        std::array::from_fn(|i| if x[i].is_sign_negative() { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn whole_number(self, x: F) -> F {
        map(x, |x| x.to_bits() as i32 as f32)
    }
    #[inline(always)]
    fn sum(self, x: F) -> f32 {
        ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    }
    #[inline(always)]
    fn largest(self, x: F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn dot_f32(self, acc: F, a: F, b: F) -> F {
        self.mul_add(a, b, acc)
    }
    #[inline(always)]
    fn dot_bf16(self, acc: F, a: F, b: F) -> F {
        let low = |x: f32| f32::from_bits(x.to_bits() << 16);
        let high = |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000);
        self.mul_add(map(a, high), map(b, high), self.mul_add(map(a, low), map(b, low), acc))
    }
    #[inline(always)]
    fn dot_i8(self, acc: F, a: F, b: F) -> F {
        std::array::from_fn(|i| {
            let (a, b) = (a[i].to_bits(), b[i].to_bits());
            let product = |shift: u32| (a >> shift & 0xff) as i32 * (b >> shift) as i8 as i32;
            let sum = (acc[i].to_bits() as i32).wrapping_add(product(0) + product(8) + product(16) + product(24));
            f32::from_bits(sum as u32)
        })
    }
    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> F {
        // SAFETY: the caller says that so many can be read, and an array of f32 is aligned as an f32.
        unsafe { from.cast::<F>().read() }
    }
    #[inline(always)]
    unsafe fn splat_at(self, from: *const f32) -> F {
        // SAFETY: the caller says that it can be read.
        [unsafe { from.read() }; LANES]
    }
    #[inline(always)]
    fn prefetch(self, _: *const f32) {}
    #[inline(always)]
    fn prefetch_far(self, _: *const f32) {}
    #[inline(always)]
    fn tile<D: Dot>(self, a: &[f32], b: &[f32], steps: usize, ahead: Ahead, out: &mut [f32], stride: usize) {
        tile::<Self, D, ROWS, 1>(self, a, b, steps, ahead, out, stride);
    }
}
