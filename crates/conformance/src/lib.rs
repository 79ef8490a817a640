//! What every provider must do, as tests that a provider's own crate runs on itself.
//!
//! A provider's crate has one test of its own with `harness = false`, which names a [`Subject`] and calls [`main`]:
//!
//! ```no_run
//! // tests/conformance.rs, beside `[[test]] name = "conformance"` and `harness = false` in Cargo.toml
//! use imbed_conformance::{Golden, Subject};
//! # mod my_provider {}
//! use my_provider as _; // links the crate, so that its provider is registered
//!
//! fn main() -> std::process::ExitCode {
//!     imbed_conformance::main(|| {
//!         let golden = Golden::safetensors("clip", "tests/clip", "tests/clip/golden.safetensors")?;
//!         Ok(vec![Subject::new("mine", "mine/small").golden(golden)])
//!     })
//! }
//! ```
//!
//! Each of the [`behaviours`](BEHAVIOURS) is then one test of that binary, which understands the arguments of `cargo test`.
//! Which of them apply follows from the descriptor's own [`Capability`](imbed_core::Capability): one that does not apply is
//! shown as ignored together with the reason, and what a model claims is held against it.
//!
//! 1. [`subject`] is what a provider's crate says: the provider, a model, [`golden`] vectors, and how to make it misbehave.
//! 2. `bench` sets that up once: the descriptor, the loaded model, engines with other options.
//! 3. `behaviours` holds one behaviour a file. They use the provider as its users do, through the registry, the session and
//!    the engine, and call the embedder directly where the engine would hide something.
//! 4. `harness` runs them as tests and writes a [`report`] to the file that [`REPORT_VARIABLE`] names.
//! 5. [`faulty`] is a provider that misbehaves on demand. This crate's tests show with it that each behaviour can fail.

mod behaviour;
mod behaviours;
mod bench;
mod compare;
pub mod faulty;
pub mod golden;
mod harness;
mod journal;
mod other_process;
mod pictures;
pub mod report;
pub mod subject;

pub use behaviour::{Behaviour, Verdict};
pub use behaviours::ALL as BEHAVIOURS;
pub use golden::Golden;
pub use harness::{REPORT_VARIABLE, main, run};
pub use report::Report;
pub use subject::{Staged, Subject, Trouble};

#[doc(hidden)]
pub use other_process::answer as answer_other_process;
