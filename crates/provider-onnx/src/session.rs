//! A graph loaded into ONNX Runtime, and one call of it.

use std::{
    borrow::Cow,
    num::NonZeroUsize,
    path::Path,
    sync::{Mutex, PoisonError},
    thread::available_parallelism,
};

use half::{bf16, f16};
use imbed_core::{Device, Error, ErrorKind, Result};
use ort::{
    session::{OutputSelector, RunOptions, Session, SessionInputValue, SessionInputs, builder::SessionBuilder},
    value::{DynValue, Tensor},
};

use crate::{
    execution,
    graph::Element,
    input::{Filler, ImageInput},
    options::OnnxOptions,
    output::Output,
    runtime,
};

/// A loaded graph. Calls run one after another, each on every thread that the session has.
#[derive(Debug)]
pub(crate) struct LoadedGraph {
    session: Mutex<Session>,
    input: String,
    fillers: Vec<Filler>,
    output: String,
    element: Element,
}

impl LoadedGraph {
    /// Loads the graph in `path` on `device`.
    pub(crate) fn open(
        path: &Path,
        device: Device,
        options: &OnnxOptions,
        input: &ImageInput,
        fillers: &[Filler],
        output: &Output,
    ) -> Result<Self> {
        let environment = runtime::environment()?;
        let builder = Session::builder(environment).map_err(|e| failed(&e))?;
        let builder = threads(builder, options.threads)?;
        let mut builder = execution::register(builder, options.execution, &options.execution_options, device)?;
        let session = builder.commit_from_file(path).map_err(|e| {
            Error::new(kind(e.message()), format!("ONNX Runtime cannot load it: {}", e.message()))
                .hint("a newer ONNX Runtime may know what this one does not: set ORT_DYLIB_PATH to its library")
        })?;
        Ok(Self {
            session: Mutex::new(session),
            input: input.name.clone(),
            fillers: fillers.to_vec(),
            output: output.name.clone(),
            element: output.element,
        })
    }

    /// Gives `image` to the image's input, and the embedding's output to `take`: its numbers and its shape.
    pub(crate) fn run(
        &self,
        image: SessionInputValue<'_>,
        take: impl FnOnce(&[f32], &[usize]) -> Result<()>,
    ) -> Result<()> {
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = vec![(Cow::Borrowed(&self.input), image)];
        for filler in &self.fillers {
            values.push((Cow::Borrowed(&filler.name), fill(filler)?));
        }
        let selected = OutputSelector::no_default().with(&self.output);
        let options = RunOptions::new().map_err(|e| failed(&e))?.with_outputs(selected);
        // A panic while it was held leaves nothing half done in the session.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs =
            session.run_with_options(SessionInputs::<0>::ValueMap(values), &options).map_err(|e| failed(&e))?;
        let value = outputs.get(&self.output).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("ONNX Runtime did not give the output '{}'", self.output))
        })?;
        let (shape, numbers) = numbers(value, self.element)?;
        take(&numbers, &shape)
    }
}

/// One call uses `threads`, which do not spin when they have nothing to do: cores are shared with the preparing of images.
fn threads(builder: SessionBuilder, threads: Option<NonZeroUsize>) -> Result<SessionBuilder> {
    let threads = threads.or(available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let builder = builder.with_intra_threads(threads).map_err(|e| failed(&e.into()))?;
    builder.with_config_entry("session.intra_op.allow_spinning", "0").map_err(|e| failed(&e.into()))
}

/// Zeros, and ones for a mask, so that the token counts.
fn fill(filler: &Filler) -> Result<SessionInputValue<'static>> {
    let shape = filler.shape.as_slice();
    let numbers = shape.iter().product();
    let one = u8::from(filler.name.contains("mask"));
    let value = match filler.element {
        Element::I64 => Tensor::from_array((shape, vec![i64::from(one); numbers])).map(Tensor::into_dyn),
        Element::I32 => Tensor::from_array((shape, vec![i32::from(one); numbers])).map(Tensor::into_dyn),
        Element::Bool => Tensor::from_array((shape, vec![one == 1; numbers])).map(Tensor::into_dyn),
        Element::F16 => Tensor::from_array((shape, vec![f16::from(one); numbers])).map(Tensor::into_dyn),
        _ => Tensor::from_array((shape, vec![f32::from(one); numbers])).map(Tensor::into_dyn),
    };
    Ok(value.map_err(|e| failed(&e))?.into())
}

/// The tensor's shape and its numbers as f32.
fn numbers(value: &DynValue, element: Element) -> Result<(Vec<usize>, Cow<'_, [f32]>)> {
    let shape = |shape: &[i64]| shape.iter().map(|length| usize::try_from(*length).unwrap_or(0)).collect();
    let read = match element {
        Element::F16 => value
            .try_extract_tensor::<f16>()
            .map(|(s, numbers)| (shape(s), Cow::Owned(numbers.iter().map(|x| x.to_f32()).collect()))),
        Element::Bf16 => value
            .try_extract_tensor::<bf16>()
            .map(|(s, numbers)| (shape(s), Cow::Owned(numbers.iter().map(|x| x.to_f32()).collect()))),
        Element::F64 => value
            .try_extract_tensor::<f64>()
            .map(|(s, numbers)| (shape(s), Cow::Owned(numbers.iter().map(|x| *x as f32).collect()))),
        _ => value.try_extract_tensor::<f32>().map(|(s, numbers)| (shape(s), Cow::Borrowed(numbers))),
    };
    read.map_err(|e| failed(&e))
}

/// What a failure of ONNX Runtime means.
pub(crate) fn failed(error: &ort::Error) -> Error {
    Error::new(kind(error.message()), format!("ONNX Runtime failed: {}", error.message()))
}

/// Memory that ran out can be helped by a smaller batch.
fn kind(message: &str) -> ErrorKind {
    let message = message.to_ascii_lowercase();
    let signs =
        ["out of memory", "failed to allocate memory", "bad_alloc", "bad allocation", "cudaerrormemoryallocation"];
    if signs.iter().any(|sign| message.contains(sign)) { ErrorKind::OutOfMemory } else { ErrorKind::Model }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_apart() {
        assert_eq!(kind("CUDA failure 2: out of memory ; GPU=0"), ErrorKind::OutOfMemory);
        assert_eq!(kind("bfc_arena: Failed to allocate memory for requested buffer of size 9"), ErrorKind::OutOfMemory);
        assert_eq!(kind("std::bad_alloc"), ErrorKind::OutOfMemory);
        assert_eq!(kind("Invalid rank for input"), ErrorKind::Model);
    }
}
