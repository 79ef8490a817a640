//! Which instructions this machine has.

use crate::Error;

/// Sets of instructions that kernels are written for, each with all that the ones before it on the same processor have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// What the compilation target has: SSE2 on x86-64.
    Plain,
    /// The plain loops, compiled to NEON, which every 64-bit Arm processor has.
    Neon,
    /// AVX2 and FMA: x86-64 since 2013.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// And VNNI, dot products of bytes.
    Avx512Vnni,
    /// And dot products of bf16.
    Avx512Bf16,
    /// And AMX: products of whole tiles of bf16 and of bytes. Its f32 is that of AVX-512.
    Amx,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Plain, Self::Neon, Self::Avx2, Self::Avx512, Self::Avx512Vnni, Self::Avx512Bf16, Self::Amx];

    /// As `IMBED_CPU` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Avx512Bf16 => "avx512bf16",
            Self::Amx => "amx",
        }
    }

    fn present(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.present()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Self::Avx512.present() && is_x86_feature_detected!("avx512vnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => Self::Avx512Vnni.present() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Self::Avx512Bf16.present() && crate::amx::present(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// A level that this machine has. There is no other way to make one, so whoever holds it may run the level's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cpu(Level);

impl Cpu {
    /// The highest level of this machine that is not above the one `IMBED_CPU` names.
    pub fn detect() -> Result<Self, Error> {
        match std::env::var("IMBED_CPU") {
            Ok(value) if !value.is_empty() => Self::at_most(&value),
            _ => Ok(Self::best(Level::Amx)),
        }
    }

    /// Every level that this machine has, the plain one first.
    pub fn available() -> Vec<Self> {
        Level::ALL.into_iter().filter(|level| level.present()).map(Self).collect()
    }

    /// Which it is.
    pub fn level(self) -> Level {
        self.0
    }

    fn at_most(name: &str) -> Result<Self, Error> {
        match Level::ALL.into_iter().find(|level| level.name() == name) {
            Some(level) => Ok(Self::best(level)),
            None => Err(Error::UnknownLevel { value: name.to_owned() }),
        }
    }

    fn best(limit: Level) -> Self {
        // From above, so that nothing is asked of the system for a level that is not used.
        let found = Level::ALL.into_iter().rev().find(|level| *level <= limit && level.present());
        Self(found.unwrap_or(Level::Plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_the_level_down() {
        assert_eq!(Cpu::at_most("plain"), Ok(Cpu(Level::Plain)));
        for cpu in Cpu::available() {
            assert_eq!(Cpu::at_most(cpu.level().name()), Ok(cpu));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = Cpu::at_most("sse9").unwrap_err().to_string();
        assert!(message.contains("sse9") && message.contains("plain, neon, avx2"), "{message}");
    }
}
