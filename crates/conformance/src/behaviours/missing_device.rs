//! A device that is not there.

use imbed_core::{Device, ErrorKind};

use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::Bench,
};

/// More GPUs than any machine has.
const INDEX: usize = 4096;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "missing-device",
    promise: "a device that is missing is an error that names it, never another device in its place",
    cannot: |bench| {
        bench.is_async().then(|| "it computes elsewhere, so no device of this machine is asked for".to_owned())
    },
    check,
};

fn check(bench: &Bench) -> Check {
    for device in [Device::Cuda(INDEX), Device::Metal(INDEX)] {
        let error = match bench.descriptor.instantiate(device) {
            Ok(embedder) => return Err(format!("{device} was asked for and {embedder:?} came").into()),
            Err(error) => error,
        };
        ensure!(error.kind() == ErrorKind::Device, "{device}: refused as {}, not as a device", error.kind());
        ensure!(error.message().contains(device.family()), "the message does not name {device}: {error}");
        ensure!(error.hint_text().is_some(), "the message has no next step: {error}");
    }
    let imbed_core::Embedder::Blocking(embedder) = bench.model()?.embedder else { return Ok(()) };
    let (asked, used) = (bench.subject.device, embedder.device());
    ensure!(asked == used, "{asked} was asked for and the model is on {used}");
    Ok(())
}
