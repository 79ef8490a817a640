//! Where a model runs: what a user asks for and what the engine leased.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// A concrete device that a model is loaded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Device {
    /// The processor.
    Cpu,
    /// The NVIDIA GPU with this index among the visible ones.
    Cuda(usize),
    /// The Apple GPU with this index.
    Metal(usize),
}

impl Device {
    /// Whether this is a GPU, which the engine leases to one worker or to fractions of one.
    pub fn is_gpu(self) -> bool {
        !matches!(self, Self::Cpu)
    }

    /// The kind of device without its index: `cpu`, `cuda`, `metal`.
    pub fn family(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
            Self::Metal(_) => "metal",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) | Self::Metal(index) => write!(f, "{}:{index}", self.family()),
        }
    }
}

/// What a user asks for with the option `device`: `auto`, `cpu`, `cuda`, `cuda:1`, `metal`.
///
/// A device asked for by name that is missing is an error; only `auto` may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceRequest {
    /// The best device that the provider supports and the machine has.
    #[default]
    Auto,
    /// Any device of a GPU family, `cuda` or `metal`.
    AnyOf(GpuFamily),
    /// Exactly this device.
    Exact(Device),
}

/// A family of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuFamily {
    /// NVIDIA, through CUDA.
    Cuda,
    /// Apple, through Metal.
    Metal,
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::AnyOf(GpuFamily::Cuda) => f.write_str("cuda"),
            Self::AnyOf(GpuFamily::Metal) => f.write_str("metal"),
            Self::Exact(device) => device.fmt(f),
        }
    }
}

impl FromStr for DeviceRequest {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let unknown = || {
            Error::new(ErrorKind::BadOption, format!("'{s}' is not a device"))
                .hint("known devices: auto, cpu, cuda, cuda:N, metal, metal:N")
        };
        let index = |n: &str| n.parse::<usize>().map_err(|_| unknown());
        Ok(match s.split_once(':') {
            None => match s {
                "auto" => Self::Auto,
                "cpu" => Self::Exact(Device::Cpu),
                "cuda" => Self::AnyOf(GpuFamily::Cuda),
                "metal" => Self::AnyOf(GpuFamily::Metal),
                _ => return Err(unknown()),
            },
            Some(("cuda", n)) => Self::Exact(Device::Cuda(index(n)?)),
            Some(("metal", n)) => Self::Exact(Device::Metal(index(n)?)),
            Some(_) => return Err(unknown()),
        })
    }
}

impl From<DeviceRequest> for String {
    fn from(request: DeviceRequest) -> Self {
        request.to_string()
    }
}

impl TryFrom<String> for DeviceRequest {
    type Error = Error;

    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl TryFrom<String> for Device {
    type Error = Error;

    fn try_from(s: String) -> Result<Self, Error> {
        match s.parse()? {
            DeviceRequest::Exact(device) => Ok(device),
            _ => Err(Error::new(ErrorKind::BadOption, format!("'{s}' does not name one device"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_survive_a_round_trip() {
        for name in ["auto", "cpu", "cuda", "cuda:3", "metal", "metal:0"] {
            assert_eq!(name.parse::<DeviceRequest>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn an_unknown_device_lists_the_known_ones() {
        for name in ["gpu", "cuda:x", "tpu:0", ""] {
            let error = name.parse::<DeviceRequest>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
            assert!(error.hint_text().unwrap().contains("cuda:N"));
        }
    }
}
