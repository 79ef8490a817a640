//! What every provider must do.

use std::process::ExitCode;

use imbed_conformance::{Golden, Subject};
use provider_custom::{MODEL, NAME};

fn main() -> ExitCode {
    imbed_conformance::main(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.safetensors");
        let golden = Golden::safetensors(MODEL, MODEL, file)?.tolerance(1e-6);
        let only_colours = Subject::new(NAME, MODEL).named("perceptual, colours").option("shape", "0");
        Ok(vec![Subject::new(NAME, MODEL).golden(golden), only_colours])
    })
}
