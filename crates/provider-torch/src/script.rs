//! `TorchScript`: a program and its weights in one file, which `torch.jit.save` wrote.
//!
//! `source` finds the file, `descriptor` plans with what the user and the files beside it say, as the program says nothing
//! before it runs, and `readout` makes a vector of what it gives.

mod descriptor;
mod readout;
mod source;

use std::path::Path;

use imbed_core::{Error, ErrorKind, Result};
use tch::{CModule, Device, IValue, Kind, Tensor};

pub(crate) use descriptor::ScriptDescriptor;
pub(crate) use readout::Readout;
pub(crate) use source::{ScriptFile, is_script};

use crate::device::failed;

/// A loaded program.
#[derive(Debug)]
pub(crate) struct Script {
    module: CModule,
    /// Which of several outputs.
    output: Option<String>,
}

impl Script {
    /// Loads the program in `path` onto `device`, its weights as `kind`.
    pub(crate) fn open(path: &Path, device: Device, kind: Kind, output: Option<String>) -> Result<Self> {
        let mut module = CModule::load_on_device(path, device).map_err(|e| unreadable(failed(e)))?;
        module.f_set_eval().map_err(failed)?;
        if kind != Kind::Float {
            module.to(device, kind, false);
        }
        Ok(Self { module, output })
    }

    /// What the program gives for normalised pixels, `[images, 3, height, width]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let given = self.module.forward_is(&[IValue::Tensor(pixels.shallow_clone())]).map_err(|e| {
            failed(e).hint(
                "a traced program may hold the batch size or the number type that it was traced with: see --batch-size and \
                 --dtype",
            )
        })?;
        readout::chosen(given, self.output.as_deref())
    }
}

/// Says it in plainer words where the file is another kind of torch's.
fn unreadable(error: Error) -> Error {
    let message = error.message();
    if message.contains("constants.pkl")
        || message.contains("PytorchStreamReader")
        || message.contains("file not found")
    {
        return Error::new(ErrorKind::Model, format!("the file is no TorchScript program: {message}")).hint(
            "write one with torch.jit.save(torch.jit.trace(model, pixels), FILE); a table of weights is not one",
        );
    }
    error
}
