//! The same program once more, as the other machine that a descriptor is sent to.

use std::{
    io::{Read, Write},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
};

use imbed_core::{Device, Error, ErrorKind, Registry, Result, SerializedDescriptor};
use serde::{Deserialize, Serialize};

use crate::{Subject, bench::Model, pictures::pictures};

/// Set for a process that is to answer and not to test.
const VARIABLE: &str = "IMBED_CONFORMANCE_ANSWER";
/// Starts the line of the answer, as a provider may print things of its own.
const PREFIX: &str = "imbed-conformance-answer ";

/// What is sent over.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    descriptor: SerializedDescriptor,
    device: Device,
    pictures: usize,
}

/// The bits of the vectors, or what went wrong.
type Answer = Result<Vec<Vec<u32>>, String>;

/// The vectors that `descriptor` gives for the first `pictures` pictures, in another process on the subject's device and with
/// its environment.
pub(crate) fn embed(descriptor: &SerializedDescriptor, subject: &Subject, pictures: usize) -> Result<Vec<Vec<f32>>> {
    let question = Question { descriptor: descriptor.clone(), device: subject.device, pictures };
    let question = serde_json::to_vec(&question).map_err(|e| broken(&e))?;
    let program = std::env::current_exe().map_err(|e| broken(&e))?;
    let mut child = Command::new(program)
        .env(VARIABLE, "1")
        .envs(subject.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| broken(&e))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&question).map_err(|e| broken(&e))?;
    }
    let output = child.wait_with_output().map_err(|e| broken(&e))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(PREFIX)).ok_or_else(|| {
        broken(&format!("it ended without an answer ({})", output.status))
            .hint("the test's main must call imbed_conformance::main and nothing before it that ends the process")
    })?;
    let answer: Answer = serde_json::from_str(line).map_err(|e| broken(&e))?;
    let bits = answer.map_err(|e| broken(&e))?;
    Ok(bits.into_iter().map(|row| row.into_iter().map(f32::from_bits).collect()).collect())
}

/// Answers, if this process was started for that.
pub fn answer() -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let answer: Answer = compute().map_err(|e| e.to_string());
    let text = serde_json::to_string(&answer).unwrap_or_default();
    println!("\n{PREFIX}{text}");
    Some(ExitCode::SUCCESS)
}

fn compute() -> Result<Vec<Vec<u32>>> {
    let mut question = Vec::new();
    std::io::stdin().read_to_end(&mut question).map_err(|e| broken(&e))?;
    let question: Question = serde_json::from_slice(&question).map_err(|e| broken(&e))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = Arc::new(runtime.map_err(|e| broken(&e))?);
    let descriptor = Registry::linked().restore(&question.descriptor)?;
    let vectors = Model::load(descriptor.as_ref(), question.device, runtime)?.embed(&pictures(question.pictures)?)?;
    Ok(vectors.into_iter().map(|row| row.into_iter().map(f32::to_bits).collect()).collect())
}

fn broken(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("the other process: {why}"))
}
