//! What every provider must do, on the built-in model, the golden checkpoints and a `TorchScript` program.

#[allow(dead_code, reason = "shared with the other tests of checkpoints")]
#[path = "../../provider-candle/tests/support/checkpoints.rs"]
mod checkpoints;
#[path = "../../provider-candle/tests/support/subjects.rs"]
mod subjects;

use std::process::ExitCode;

use imbed_conformance::Subject;
use imbed_provider_torch as _;

/// Tokens, with a `config.json` that says what they are.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vit");

fn main() -> ExitCode {
    imbed_conformance::main(|| {
        let mut subjects = subjects::subjects("torch")?;
        subjects.push(Subject::new("torch", PROGRAM).named("torch, TorchScript"));
        Ok(subjects)
    })
}
