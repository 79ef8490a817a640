//! AMX: products of tiles, 16 rows of 64 bytes each, in registers of their own.
//!
//! Stable Rust has no intrinsics for it, so these are its instructions in assembly. Four sums stand in tiles 0 to 3, two rows of
//! two; a step multiplies two tiles of rows, 4 and 5, with two of columns, 6 and 7. A column's tile holds 16 steps of 16 columns: a
//! word of four bytes for each. The compiler knows no tile registers, so what stands in them outlives a block of assembly.

use std::{
    arch::{
        asm,
        x86_64::{__cpuid_count, _xgetbv},
    },
    sync::OnceLock,
};

/// Rows of a tile of rows, steps of one of columns, and columns of a sum.
pub(crate) const SIDE: usize = 16;
/// Words of a row of a tile, which are steps.
pub(crate) const STEPS: usize = 16;
/// Words of four tiles.
pub(crate) const SUMS: usize = 4 * SIDE * SIDE;

/// Whether the processor has tiles, bf16 and bytes in them, and the system lets this process use them.
pub(crate) fn present() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    *PRESENT.get_or_init(|| has_instructions() && permitted())
}

fn has_instructions() -> bool {
    const XSAVE_IN_USE: u32 = 1 << 27;
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    // Tiles and their configuration are among what the system keeps for a thread.
    const STATE: u64 = (1 << 17) | (1 << 18);
    let (basic, features) = (__cpuid_count(1, 0), __cpuid_count(7, 0));
    if __cpuid_count(0, 0).eax < 7
        || basic.ecx & XSAVE_IN_USE == 0
        || features.edx & (BF16 | TILE | INT8) != BF16 | TILE | INT8
    {
        return false;
    }
    // SAFETY: the system has switched the instruction on, as just asked.
    unsafe { xgetbv() & STATE == STATE }
}

/// # Safety
/// The processor has the instruction, and the system has switched it on.
#[target_feature(enable = "xsave")]
unsafe fn xgetbv() -> u64 {
    // SAFETY: as the caller says.
    unsafe { _xgetbv(0) }
}

/// Asks Linux to keep 8 KB of tiles for each thread of this process that uses them.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILES: i64 = 18;
    let mut answer = ARCH_PRCTL;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe {
        asm!(
            "syscall",
            inout("rax") answer,
            in("rdi") REQUEST,
            in("rsi") TILES,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

#[repr(C, align(64))]
struct Shape([u8; 64]);

static SHAPE: Shape = {
    let mut shape = [0; 64];
    // The only palette there is. Then, for each of eight tiles, bytes of a row and rows.
    shape[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        shape[16 + 2 * tile] = 64;
        shape[48 + tile] = SIDE as u8;
        tile += 1;
    }
    Shape(shape)
};

/// This thread's tiles, all of the full size, until it is dropped.
pub(crate) struct Tiles(());

/// Says of a block of assembly that it changes the tiles.
macro_rules! tiles {
    ($($part:tt)*) => {
        asm!(
            $($part)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, preserves_flags)
        )
    };
}

/// Two tiles of rows with two of columns.
macro_rules! whole_step {
    ($dot:literal, $load:literal, $left:expr, $right:expr) => {
        tiles!(
            "tileloaddt1 tmm4, [{upper} + {left}]",
            concat!($load, " tmm6, [{right} + {columns}]"),
            concat!($load, " tmm7, [{right} + {columns} + 64]"),
            concat!($dot, " tmm0, tmm4, tmm6"),
            "tileloaddt1 tmm5, [{lower} + {left}]",
            concat!($dot, " tmm1, tmm4, tmm7"),
            concat!($dot, " tmm2, tmm5, tmm6"),
            concat!($dot, " tmm3, tmm5, tmm7"),
            upper = in(reg) $left.at,
            lower = in(reg) $left.at.wrapping_add(SIDE * $left.stride),
            left = in(reg) $left.stride,
            right = in(reg) $right,
            columns = in(reg) 128_usize,
        )
    };
}

/// One tile of rows with two of columns.
macro_rules! half_step {
    ($dot:literal, $left:expr, $right:expr) => {
        tiles!(
            "tileloaddt1 tmm4, [{upper} + {left}]",
            "tileloadd tmm6, [{right} + {columns}]",
            "tileloadd tmm7, [{right} + {columns} + 64]",
            concat!($dot, " tmm0, tmm4, tmm6"),
            concat!($dot, " tmm1, tmm4, tmm7"),
            upper = in(reg) $left.at,
            left = in(reg) $left.stride,
            right = in(reg) $right,
            columns = in(reg) 128_usize,
        )
    };
}

/// Tiles of rows.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub(crate) at: *const u8,
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    /// Whether there are two.
    pub(crate) whole: bool,
}

// The instructions name no `self`, but who calls them must have it.
#[allow(clippy::unused_self)]
impl Tiles {
    /// # Safety
    /// The machine has AMX, and this thread has no other `Tiles`.
    #[inline(always)]
    pub(crate) unsafe fn take() -> Self {
        // SAFETY: the instruction is there, as the caller says, and reads 64 bytes, which `SHAPE` has.
        unsafe { tiles!("ldtilecfg [{shape}]", shape = in(reg) &raw const SHAPE,) }
        Self(())
    }

    /// All four sums zero.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        // SAFETY: a `Tiles` exists only where the instructions do, and these touch no memory.
        unsafe { tiles!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",) }
    }

    /// The sums that [`store`](Self::store) wrote, 32 words apart.
    #[inline(always)]
    pub(crate) fn load(&mut self, from: &[f32]) {
        assert!(from.len() >= SUMS);
        // SAFETY: a `Tiles` exists only where the instructions do, and what they read is within the slice, as just checked.
        unsafe {
            tiles!(
                "tileloadd tmm0, [{from} + {stride}]",
                "tileloadd tmm1, [{from} + {stride} + 64]",
                "tileloadd tmm2, [{lower} + {stride}]",
                "tileloadd tmm3, [{lower} + {stride} + 64]",
                from = in(reg) from.as_ptr(),
                lower = in(reg) from.as_ptr().wrapping_add(SUMS / 2),
                stride = in(reg) 2 * SIDE * 4,
            );
        }
    }

    /// Adds to the sums the products of tiles of rows with two of columns.
    ///
    /// Rows are read past the first-level cache, as a panel of columns stays there: all of it that is not `far`.
    ///
    /// # Safety
    /// At `left.at` can be read 16 rows of 64 bytes, or 32 if `left.whole`, and at `right` 16 of 128 bytes, one after the other.
    #[inline(always)]
    pub(crate) unsafe fn step(&mut self, left: Left, right: *const u8, far: bool, int8: bool) {
        // SAFETY: a `Tiles` exists only where the instructions do, and what they read is there as the caller says.
        unsafe {
            match (int8, far, left.whole) {
                (false, false, true) => whole_step!("tdpbf16ps", "tileloadd", left, right),
                (false, true, true) => whole_step!("tdpbf16ps", "tileloaddt1", left, right),
                (true, false, true) => whole_step!("tdpbusd", "tileloadd", left, right),
                (true, true, true) => whole_step!("tdpbusd", "tileloaddt1", left, right),
                (false, _, false) => half_step!("tdpbf16ps", left, right),
                (true, _, false) => half_step!("tdpbusd", left, right),
            }
        }
    }

    /// Writes the four sums as 32 rows of 32 words, `stride` words apart.
    #[inline(always)]
    pub(crate) fn store(&mut self, to: &mut [f32], stride: usize) {
        assert!(stride >= 2 * SIDE && to.len() >= (2 * SIDE - 1) * stride + 2 * SIDE);
        // SAFETY: a `Tiles` exists only where the instructions do, and what they write is within the slice, as just checked.
        unsafe {
            tiles!(
                "tilestored [{to} + {stride}], tmm0",
                "tilestored [{to} + {stride} + 64], tmm1",
                "tilestored [{lower} + {stride}], tmm2",
                "tilestored [{lower} + {stride} + 64], tmm3",
                to = in(reg) to.as_mut_ptr(),
                lower = in(reg) to.as_mut_ptr().wrapping_add(SIDE * stride),
                stride = in(reg) stride * 4,
            );
        }
    }
}

impl Drop for Tiles {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: a `Tiles` exists only where the instruction is there. It touches no memory.
        unsafe { tiles!("tilerelease",) }
    }
}
