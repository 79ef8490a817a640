//! One vector of f32, whatever its width: kernels are written once, over [`Simd`], and compiled once for each level.
//!
//! A value of an implementing type is proof that the machine has its instructions; only [`run`] makes one, inside a function
//! that is compiled with them. Everything between there and an intrinsic is `#[inline(always)]`, or it would be compiled
//! without them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;
mod tile;

use half::bf16;

#[cfg(target_arch = "x86_64")]
use crate::Level;
use crate::cpu::Cpu;
pub(crate) use tile::{A_STRIDE, Ahead, BLOCK_STEPS, Bf16Pairs, Dot, F32Words, I8Quads, block_steps};

/// Vectors of one width.
pub(crate) trait Simd: Copy + Sync {
    /// A vector. Where a word is not an f32 it still travels as one, bit for bit.
    type F: Copy;
    /// f32 in a vector.
    const LANES: usize;
    /// Rows that [`Simd::tile`] computes at a time.
    const TILE_ROWS: usize;
    /// Columns that [`Simd::tile`] computes at a time, a multiple of the lanes.
    const TILE_COLUMNS: usize;

    fn splat(self, x: f32) -> Self::F;
    /// The first lanes of a slice that has as many.
    fn load(self, from: &[f32]) -> Self::F;
    /// A slice shorter than a vector, and zeros.
    fn load_part(self, from: &[f32]) -> Self::F;
    /// The first lanes of a slice of bf16 that has as many.
    fn load_bf16(self, from: &[bf16]) -> Self::F;
    fn store(self, x: Self::F, to: &mut [f32]);
    /// Into a slice shorter than a vector.
    fn store_part(self, x: Self::F, to: &mut [f32]);
    /// As bf16, to the nearest.
    fn store_bf16(self, x: Self::F, to: &mut [bf16]);
    /// As bytes, to the nearest, cut at 0 and 255.
    fn store_u8(self, x: Self::F, to: &mut [u8]);

    /// A word of two bf16 in each lane, which `low` and `high` are as f32.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    fn pair(self, low: Self::F, high: Self::F) -> Self::F;

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`; rounded once where the level has such an instruction.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// To the nearest whole number.
    fn round(self, x: Self::F) -> Self::F;
    fn abs(self, x: Self::F) -> Self::F;
    /// `1 / x` to two units in the last place, for finite x of at least 1.
    fn reciprocal(self, x: Self::F) -> Self::F;
    /// `1 / x` to a relative 1e-4, for finite x of at least 1.
    #[inline(always)]
    fn reciprocal_coarse(self, x: Self::F) -> Self::F {
        self.reciprocal(x)
    }
    /// `x` times two to the power of `n`, whole and between -126 and 127.
    fn scale(self, x: Self::F, n: Self::F) -> Self::F;
    /// `a` where `x` is negative, else `b`.
    fn where_negative(self, x: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// The bits read as a whole number, which they are the i32 of.
    fn whole_number(self, x: Self::F) -> Self::F;
    fn sum(self, x: Self::F) -> f32;
    fn largest(self, x: Self::F) -> f32;

    /// `acc + a * b`.
    fn dot_f32(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// `acc` plus the products of two bf16 in each lane.
    fn dot_bf16(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// `acc`, bits of whole numbers, plus the products of four unsigned bytes of `a` and signed ones of `b` in each lane.
    fn dot_i8(self, acc: Self::F, a: Self::F, b: Self::F) -> Self::F;

    /// Writes as many rows of as many words as there are lanes, `from_stride` apart, as columns: word `i` of row `j` to place `j`
    /// of row `i`, `to_stride` apart.
    #[inline(always)]
    fn transpose(self, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
        for (j, row) in from.chunks(from_stride).enumerate().take(Self::LANES) {
            for (i, x) in row[..Self::LANES].iter().enumerate() {
                to[i * to_stride + j] = *x;
            }
        }
    }

    /// A vector at an address.
    ///
    /// # Safety
    /// As many f32 as lanes can be read there.
    unsafe fn load_at(self, from: *const f32) -> Self::F;
    /// One word in all lanes.
    ///
    /// # Safety
    /// It can be read.
    unsafe fn splat_at(self, from: *const f32) -> Self::F;
    /// A hint that the line at an address will be read, which may be any address.
    fn prefetch(self, at: *const f32);
    /// As [`prefetch`](Self::prefetch), that it will be read a little later: into the second-level cache.
    fn prefetch_far(self, at: *const f32);

    /// A tile of a product: see [`tile::tile`].
    fn tile<D: Dot>(self, a: &[f32], b: &[f32], steps: usize, ahead: Ahead, out: &mut [f32], stride: usize);
}

/// As many values as lanes, or fewer and zeros.
#[inline(always)]
pub(crate) fn load_up_to<S: Simd>(simd: S, from: &[f32]) -> S::F {
    if from.len() == S::LANES { simd.load(from) } else { simd.load_part(from) }
}

/// Into as many values as lanes, or fewer.
#[inline(always)]
pub(crate) fn store_up_to<S: Simd>(simd: S, x: S::F, to: &mut [f32]) {
    if to.len() == S::LANES {
        simd.store(x, to);
    } else {
        simd.store_part(x, to);
    }
}

/// A hint that so many values from an address on, which may be any, will be read or written.
#[inline(always)]
pub(crate) fn prefetch_values<S: Simd, T>(simd: S, first: *const T, count: usize) {
    const LINE: usize = 64;
    for value in (0..count).step_by(LINE / size_of::<T>()) {
        simd.prefetch(first.wrapping_add(value).cast());
    }
}

/// Something to be compiled for each level.
pub(crate) trait Work {
    type Output;
    /// Does it. Implementations are `#[inline(always)]`.
    fn with<S: Simd>(self, simd: S) -> Self::Output;
}

/// Does the work with the instructions of a level.
pub(crate) fn run<W: Work>(cpu: Cpu, work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match cpu.level() {
        // SAFETY: a `Cpu` exists only where the machine has the instructions of its level.
        Level::Avx512Bf16 | Level::Amx => return unsafe { avx512::run_bf16(work) },
        // SAFETY: as above.
        Level::Avx512Vnni => return unsafe { avx512::run_vnni(work) },
        // SAFETY: as above.
        Level::Avx512 => return unsafe { avx512::run(work) },
        // SAFETY: as above.
        Level::Avx2 => return unsafe { avx2::run(work) },
        Level::Plain | Level::Neon => {}
    }
    let _ = cpu;
    work.with(plain::Plain)
}

/// Does work that multiplies bf16 in pairs, where the level has such an instruction. Whether it has.
#[cfg(target_arch = "x86_64")]
pub(crate) fn run_bf16<W: Work<Output = ()>>(cpu: Cpu, work: W) -> bool {
    if cpu.level() != Level::Avx512Bf16 {
        return false;
    }
    // SAFETY: a `Cpu` exists only where the machine has the instructions of its level.
    unsafe { avx512::run_bf16(work) };
    true
}

/// Does work that takes tiles of AMX, where the level has them. Whether it has.
#[cfg(target_arch = "x86_64")]
pub(crate) fn run_amx<W: Work<Output = ()>>(cpu: Cpu, work: W) -> bool {
    if cpu.level() != Level::Amx {
        return false;
    }
    // SAFETY: a `Cpu` exists only where the machine has the instructions of its level, and AMX is above AVX-512 with bf16.
    unsafe { avx512::run_bf16(work) };
    true
}
