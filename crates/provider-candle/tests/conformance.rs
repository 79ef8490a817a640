//! What every provider must do, on the built-in model and the golden checkpoints.

#[allow(dead_code, reason = "shared with the other tests of checkpoints")]
#[path = "support/checkpoints.rs"]
mod checkpoints;
#[path = "support/subjects.rs"]
mod subjects;

use std::process::ExitCode;

use imbed_provider_candle as _;

fn main() -> ExitCode {
    imbed_conformance::main(|| subjects::subjects("candle"))
}
