//! Devices and number types in libtorch's words.

use imbed_core::{Device, Error, ErrorKind, Result, options::Dtype};
use tch::{Kind, TchError};

use crate::runtime;

/// Device families that the linked libtorch has, the preferred first.
pub(crate) fn families() -> Vec<String> {
    let families: &[&str] = if runtime::has_cuda() { &["cuda", "cpu"] } else { &["cpu"] };
    families.iter().map(ToString::to_string).collect()
}

/// The number types, on every device.
pub(crate) const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];

/// libtorch's name of a number type, single precision where none was chosen.
pub(crate) fn kind(dtype: Option<Dtype>) -> Result<Kind> {
    match dtype.unwrap_or(Dtype::F32) {
        Dtype::F32 => Ok(Kind::Float),
        Dtype::Bf16 => Ok(Kind::BFloat16),
        Dtype::F16 => Ok(Kind::Half),
        other @ (Dtype::Int8 | Dtype::Auto) => {
            Err(Error::new(ErrorKind::BadOption, format!("dtype '{other}' is not computed by the provider torch"))
                .hint("use f32, bf16 or f16; or the provider candle, on the CPU"))
        }
    }
}

/// libtorch's handle of `device`, which is there.
pub(crate) fn open(device: Device) -> Result<tch::Device> {
    runtime::start();
    match device {
        Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda(index) => {
            let missing = |message: String| Error::new(ErrorKind::Device, message);
            let found =
                runtime::cuda_devices().map_err(|e| e.context(format_args!("the device {device} cannot be used")))?;
            if index >= found {
                let last = found - 1;
                return Err(missing(format!("the device {device} is not there: libtorch finds {found}"))
                    .hint(format!("use cuda:0 to cuda:{last}, or --device cpu")));
            }
            Ok(tch::Device::Cuda(index))
        }
        Device::Metal(_) => {
            let message = format!("the device {device} cannot be used: the provider torch computes on cpu and cuda");
            Err(Error::new(ErrorKind::Device, message)
                .hint("use --device cpu, or the provider candle with the Cargo feature 'metal'"))
        }
    }
}

/// What a failure of libtorch means: memory that ran out can be helped by a smaller batch.
pub(crate) fn failed(error: TchError) -> Error {
    let text = error.to_string();
    // The rest is where in libtorch's source it happened.
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let kind = if lower.contains("out of memory") || lower.contains("can't allocate memory") {
        ErrorKind::OutOfMemory
    } else {
        ErrorKind::Model
    };
    Error::new(kind, format!("libtorch failed: {}", first.trim_start_matches("Internal torch error: "))).source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_apart_and_a_message_is_one_line() {
        let error = |text: &str| failed(TchError::Torch(text.to_owned()));
        let gpu = error(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1\nException raised from malloc",
        );
        assert_eq!(gpu.kind(), ErrorKind::OutOfMemory);
        assert!(gpu.message().ends_with("total capacity of 1"), "{gpu}");
        let cpu = error(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried",
        );
        assert_eq!(cpu.kind(), ErrorKind::OutOfMemory);
        assert_eq!(error("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)").kind(), ErrorKind::Model);
    }

    #[test]
    fn a_device_of_another_provider_is_refused_with_its_name() {
        let error = open(Device::Metal(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device);
        assert!(error.hint_text().unwrap().contains("candle"), "{error}");
    }

    #[test]
    fn a_gpu_beyond_those_that_are_there_is_a_device_error() {
        assert_eq!(open(Device::Cuda(1000)).unwrap_err().kind(), ErrorKind::Device);
    }
}
