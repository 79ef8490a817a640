//! The devices of this build, and the number types that each computes in.

use imbed_core::{Device, Error, ErrorKind, Result, options::Dtype};

/// Device families that this build can use, the preferred first.
pub(crate) fn families() -> &'static [&'static str] {
    match (cfg!(feature = "cuda"), cfg!(feature = "metal")) {
        (true, true) => &["cuda", "metal", "cpu"],
        (true, false) => &["cuda", "cpu"],
        (false, true) => &["metal", "cpu"],
        (false, false) => &["cpu"],
    }
}

/// The number types that a device of the family computes in.
pub(crate) fn dtypes(family: &str) -> &'static [Dtype] {
    match family {
        "cpu" => &[Dtype::F32, Dtype::Bf16, Dtype::Int8, Dtype::Auto],
        _ => &[Dtype::F32, Dtype::Bf16, Dtype::F16],
    }
}

/// Refuses a number type that none of `families` computes in.
pub(crate) fn check_dtype(dtype: Option<Dtype>, families: &[&str]) -> Result<()> {
    let Some(dtype) = dtype else { return Ok(()) };
    if families.iter().any(|family| dtypes(family).contains(&dtype)) {
        return Ok(());
    }
    let [family, ..] = families else { return Ok(()) };
    let known: Vec<String> = dtypes(family).iter().map(ToString::to_string).collect();
    let other = if families == ["cpu"] {
        "a GPU, with a build that has the Cargo feature 'cuda' or 'metal'"
    } else {
        "--device cpu"
    };
    let message = format!("dtype '{dtype}' cannot be computed on {}", families.join(" or "));
    Err(Error::new(ErrorKind::BadOption, message).hint(format!("use {}, or {other}", known.join(", "))))
}

/// Candle's handle of `device`.
pub(crate) fn open(device: Device) -> Result<candle_core::Device> {
    let opened = match device {
        Device::Cpu => return Ok(candle_core::Device::Cpu),
        Device::Cuda(index) if cfg!(feature = "cuda") => candle_core::Device::new_cuda(index),
        Device::Metal(index) if cfg!(feature = "metal") => candle_core::Device::new_metal(index),
        Device::Cuda(_) | Device::Metal(_) => {
            let family = device.family();
            let message =
                format!("the device {device} cannot be used: this build of the provider candle has no {family}");
            return Err(Error::new(ErrorKind::Device, message)
                .hint(format!("build with the Cargo feature '{family}', or use --device cpu")));
        }
    };
    opened.map_err(|e| {
        Error::new(ErrorKind::Device, format!("the device {device} cannot be opened: {}", said(&e)))
            .hint("check that the driver is installed and the device visible, or use --device cpu")
            .source(e)
    })
}

/// What a failure of candle means: memory that ran out can be helped by a smaller batch.
pub(crate) fn failed(error: candle_core::Error) -> Error {
    let message = said(&error);
    let lower = message.to_ascii_lowercase();
    // CUDA says CUDA_ERROR_OUT_OF_MEMORY, Metal and the drivers write it out.
    let kind = if lower.contains("out of memory") || lower.contains("out_of_memory") {
        ErrorKind::OutOfMemory
    } else {
        ErrorKind::Model
    };
    Error::new(kind, format!("the forward pass failed: {message}")).source(error)
}

/// What candle says of an error, without the calls that led to it, which it puts behind that.
fn said(error: &candle_core::Error) -> String {
    let text = match error {
        candle_core::Error::WithBacktrace { inner, .. } => return said(inner),
        other => other.to_string(),
    };
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_although_candle_adds_a_backtrace() {
        let inner = Box::new(candle_core::Error::Msg("out of memory\n   0: <unknown>".to_owned()));
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let error = failed(candle_core::Error::WithBacktrace { inner, backtrace });
        assert_eq!(error.message(), "the forward pass failed: out of memory");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    }

    #[test]
    fn memory_that_ran_out_is_told_apart() {
        let error = |text: &str| failed(candle_core::Error::Msg(text.to_owned())).kind();
        assert_eq!(error("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"), ErrorKind::OutOfMemory);
        assert_eq!(error("shape mismatch"), ErrorKind::Model);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_the_build_lacks_names_the_feature() {
        let error = open(Device::Cuda(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device);
        assert!(error.hint_text().unwrap().contains("'cuda'"));
    }
}
