//! From the device that was asked for to the devices that will be used.

use imbed_core::{Capability, Device, DeviceRequest, Error, ErrorKind, Result, device::GpuFamily};

use super::GpuInventory;

/// The devices that workers may run on, and why these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The processor alone, or one or more GPUs of one family.
    pub(crate) devices: Vec<Device>,
    pub(crate) why: String,
}

/// Decides where the model runs. A device asked for by name that is missing is an error; only `auto` falls back.
pub(crate) fn choose(request: DeviceRequest, capability: &Capability, inventory: &dyn GpuInventory) -> Result<Choice> {
    let can = |family: &str| capability.devices.iter().any(|d| d == family);
    let all = |family: &str| -> Vec<Device> {
        match family {
            "cuda" => (0..inventory.cuda()).map(Device::Cuda).collect(),
            "metal" => (0..inventory.metal()).map(Device::Metal).collect(),
            _ => vec![Device::Cpu],
        }
    };
    match request {
        DeviceRequest::Auto => {
            for family in &capability.devices {
                let devices = all(family);
                if !devices.is_empty() {
                    return Ok(Choice { why: why_auto(capability, inventory, family), devices });
                }
            }
            Err(Error::new(ErrorKind::Device, format!("no device for this model: it runs on {}", list(capability))))
        }
        DeviceRequest::AnyOf(family) => {
            let family = if family == GpuFamily::Cuda { "cuda" } else { "metal" };
            require(can(family), family, capability)?;
            let devices = all(family);
            if devices.is_empty() {
                return Err(missing(family, 0));
            }
            Ok(Choice { devices, why: "asked for".to_owned() })
        }
        DeviceRequest::Exact(device) => {
            require(can(device.family()), device.family(), capability)?;
            let devices = all(device.family());
            if !devices.contains(&device) {
                return Err(missing(&device.to_string(), devices.len()));
            }
            Ok(Choice { devices: vec![device], why: "asked for".to_owned() })
        }
    }
}

fn why_auto(capability: &Capability, inventory: &dyn GpuInventory, chosen: &str) -> String {
    if chosen != "cpu" {
        return format!("auto: {chosen} is present and this build supports it");
    }
    let unused = inventory.cuda() > 0 && !capability.devices.iter().any(|d| d == "cuda");
    if unused {
        "auto: an NVIDIA GPU is present, but this build has no CUDA (Cargo feature 'cuda')".to_owned()
    } else if inventory.cuda() > 0 {
        "auto: this provider takes the processor unless told otherwise; device=cuda takes the GPU".to_owned()
    } else {
        "auto: no GPU that this build can use".to_owned()
    }
}

fn require(can: bool, family: &str, capability: &Capability) -> Result<()> {
    if can {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Device, format!("this build of the model's provider has no {family}"))
        .hint(format!("it runs on: {}; rebuild with the Cargo feature '{family}' to add it", list(capability))))
}

fn missing(device: &str, present: usize) -> Error {
    Error::new(ErrorKind::Device, format!("the device {device} was asked for, but {present} of its kind are visible"))
        .hint("check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES, or pass --device cpu or auto")
}

fn list(capability: &Capability) -> String {
    capability.devices.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::FixedInventory;

    fn capability(devices: &[&str]) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: false,
            dimensions_override: true,
            deterministic: true,
            poolings: vec![],
            dtypes: vec![],
            devices: devices.iter().map(ToString::to_string).collect(),
        }
    }

    fn chosen(request: &str, devices: &[&str], cuda: usize) -> Result<Vec<Device>> {
        choose(request.parse()?, &capability(devices), &FixedInventory { cuda, metal: 0 }).map(|c| c.devices)
    }

    #[test]
    fn auto_takes_gpus_where_build_and_machine_have_them() {
        assert_eq!(chosen("auto", &["cuda", "cpu"], 2).unwrap(), [Device::Cuda(0), Device::Cuda(1)]);
        assert_eq!(chosen("auto", &["cuda", "cpu"], 0).unwrap(), [Device::Cpu]);
        assert_eq!(chosen("auto", &["cpu"], 2).unwrap(), [Device::Cpu]);
    }

    #[test]
    fn a_named_device_that_is_missing_is_an_error_and_never_the_processor() {
        for (request, devices, cuda) in [
            ("cuda", &["cuda", "cpu"][..], 0),
            ("cuda:1", &["cuda", "cpu"], 1),
            ("cuda", &["cpu"], 1),
            ("metal", &["cpu"], 0),
        ] {
            let error = chosen(request, devices, cuda).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Device, "{request}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn a_named_device_that_exists_is_used_alone() {
        assert_eq!(chosen("cuda:1", &["cuda", "cpu"], 2).unwrap(), [Device::Cuda(1)]);
        assert_eq!(chosen("cpu", &["cuda", "cpu"], 2).unwrap(), [Device::Cpu]);
    }
}
