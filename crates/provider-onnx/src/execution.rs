//! What ONNX Runtime computes with, and the devices of imbed that this takes.
//!
//! A processor or GPU that was asked for and is missing is an error. What an execution provider cannot compute itself
//! within a graph, ONNX Runtime gives to the processor, operation by operation.

use std::fmt;

use imbed_core::{Device, DeviceRequest, Error, ErrorKind, Result, device::GpuFamily};
use ort::{
    ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider as _, ExecutionProviderDispatch},
    session::builder::SessionBuilder,
};

/// An execution provider of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecutionProvider {
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
    CoreMl,
    DirectMl,
}

impl ExecutionProvider {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cpu, Self::Cuda, Self::TensorRt, Self::OpenVino, Self::CoreMl, Self::DirectMl];

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.to_string() == text)
    }

    /// Whether the opened library has it.
    fn is_available(self) -> bool {
        let available = match self {
            Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
        };
        available.unwrap_or(false)
    }
}

impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::CoreMl => "coreml",
            Self::DirectMl => "directml",
        })
    }
}

/// Families of devices that the engine may lease for this wish, the preferred first.
///
/// `OpenVINO`, Core ML and `DirectML` choose their hardware themselves, so that for the engine they are the processor.
pub(crate) fn families(asked: Option<ExecutionProvider>) -> &'static [&'static str] {
    match asked {
        None => &["cpu", "cuda"],
        Some(ExecutionProvider::Cuda | ExecutionProvider::TensorRt) => &["cuda"],
        Some(_) => &["cpu"],
    }
}

/// Refuses a device that the execution provider does not compute on.
pub(crate) fn check_request(asked: Option<ExecutionProvider>, request: DeviceRequest) -> Result<()> {
    let family = match request {
        DeviceRequest::Auto => return Ok(()),
        DeviceRequest::AnyOf(GpuFamily::Cuda) => "cuda",
        DeviceRequest::AnyOf(GpuFamily::Metal) => "metal",
        DeviceRequest::Exact(device) => device.family(),
    };
    check_family(asked, family, &request, ErrorKind::BadOption)
}

fn check_family(
    asked: Option<ExecutionProvider>,
    family: &str,
    device: &dyn fmt::Display,
    kind: ErrorKind,
) -> Result<()> {
    if families(asked).contains(&family) {
        return Ok(());
    }
    let error = match asked {
        None => format!("the provider onnx does not run on {device}"),
        Some(asked) => format!("the execution provider {asked} does not run on the device {device}"),
    };
    Err(Error::new(kind, error).hint(if family == "metal" {
        "for Apple's GPUs: --option execution_provider=coreml, and no device"
    } else {
        "leave the device away, or name the one that goes with it: cpu, or cuda for cuda and tensorrt"
    }))
}

/// Makes `builder` compute with what was asked for on `device`; an error where the opened library cannot.
pub(crate) fn register(
    builder: SessionBuilder,
    asked: Option<ExecutionProvider>,
    options: &[(String, String)],
    device: Device,
) -> Result<SessionBuilder> {
    check_family(asked, device.family(), &device, ErrorKind::Device)?;
    let provider = match (asked, device) {
        (Some(asked), _) => asked,
        (None, Device::Cuda(_)) => ExecutionProvider::Cuda,
        (None, _) => ExecutionProvider::Cpu,
    };
    if !provider.is_available() {
        let known: Vec<String> = ExecutionProvider::ALL
            .into_iter()
            .filter(|provider| provider.is_available())
            .map(|provider| provider.to_string())
            .collect();
        let message = format!("this ONNX Runtime has no execution provider {provider}; it has {}", known.join(", "));
        return Err(Error::new(ErrorKind::Device, message).hint(how_to_get(provider)));
    }
    let providers = dispatch(provider, options, device)?;
    builder.with_execution_providers(providers).map_err(|e| {
        Error::new(ErrorKind::Device, format!("the execution provider {provider} cannot be used: {e}"))
            .hint("check its driver and libraries, or compute on the processor: --option execution_provider=cpu")
    })
}

/// The execution provider with its options. Each must register, or the whole fails.
fn dispatch(
    provider: ExecutionProvider,
    options: &[(String, String)],
    device: Device,
) -> Result<Vec<ExecutionProviderDispatch>> {
    let index = match device {
        Device::Cuda(index) => i32::try_from(index).unwrap_or(i32::MAX),
        _ => 0,
    };
    let cuda = || ep::CUDA::default().with_device_id(index);
    let providers = match provider {
        ExecutionProvider::Cpu | ExecutionProvider::DirectMl if !options.is_empty() => {
            return Err(Error::new(ErrorKind::BadOption, format!("the execution provider {provider} has no options"))
                .hint("leave execution_options away"));
        }
        ExecutionProvider::Cpu => vec![],
        ExecutionProvider::Cuda => vec![with(cuda(), options).build()],
        // What TensorRT does not take, CUDA does.
        ExecutionProvider::TensorRt => {
            vec![with(ep::TensorRT::default().with_device_id(index), options).build(), cuda().build()]
        }
        ExecutionProvider::OpenVino => vec![with(ep::OpenVINO::default(), options).build()],
        ExecutionProvider::CoreMl => vec![with(ep::CoreML::default(), options).build()],
        ExecutionProvider::DirectMl => vec![ep::DirectML::default().build()],
    };
    Ok(providers.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect())
}

fn with<P: ArbitrarilyConfigurableExecutionProvider>(provider: P, options: &[(String, String)]) -> P {
    options.iter().fold(provider, |provider, (key, value)| provider.with_arbitrary_config(key, value))
}

fn how_to_get(provider: ExecutionProvider) -> String {
    let package = match provider {
        ExecutionProvider::Cuda | ExecutionProvider::TensorRt => "onnxruntime-gpu",
        ExecutionProvider::OpenVino => "onnxruntime-openvino",
        ExecutionProvider::DirectMl => "onnxruntime-directml",
        ExecutionProvider::Cpu | ExecutionProvider::CoreMl => "onnxruntime",
    };
    format!(
        "set ORT_DYLIB_PATH to a library that has it (the one inside PyPI's {package}), or compute on the processor: \
         --option execution_provider=cpu"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_a_round_trip() {
        for provider in ExecutionProvider::ALL {
            assert_eq!(ExecutionProvider::parse(&provider.to_string()), Some(provider));
        }
        assert_eq!(ExecutionProvider::parse("CUDAExecutionProvider"), None);
    }

    #[test]
    fn a_device_that_does_not_go_with_the_execution_provider_is_refused() {
        let check = |asked: &str, device: &str| {
            let asked = (!asked.is_empty()).then(|| ExecutionProvider::parse(asked).unwrap());
            check_request(asked, device.parse().unwrap())
        };
        for (asked, device) in [
            ("", "auto"),
            ("", "cuda:1"),
            ("cuda", "cuda"),
            ("tensorrt", "cuda:0"),
            ("openvino", "cpu"),
            ("coreml", "auto"),
        ] {
            assert!(check(asked, device).is_ok(), "{asked} on {device}");
        }
        for (asked, device) in [("", "metal"), ("cuda", "cpu"), ("cpu", "cuda"), ("coreml", "metal:0")] {
            assert_eq!(check(asked, device).unwrap_err().kind(), ErrorKind::BadOption, "{asked} on {device}");
        }
        assert!(check("", "metal").unwrap_err().hint_text().unwrap().contains("coreml"));
    }
}
