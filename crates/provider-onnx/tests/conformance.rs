//! What every provider must do, on graphs of the checkpoints that other providers read as they are.

mod support;

use std::{path::Path, process::ExitCode};

use imbed_conformance::{Golden, Staged, Subject, Trouble};
use imbed_core::{Error, Result};
use support::{fixture, runtime};

fn main() -> ExitCode {
    // Also in the other process, which descriptors are sent to.
    runtime();
    imbed_conformance::main(|| {
        let mut subject = Subject::new("onnx", path(&fixture("families/clip"))).tolerance(1e-5);
        for family in families()? {
            // The vectors of transformers for the checkpoint that the graph was exported from.
            let golden = fixture("../../../provider-candle/tests/fixtures").join(&family).join("golden.safetensors");
            let model = path(&fixture("families").join(&family));
            subject = subject.golden(Golden::safetensors(family, model, golden)?);
        }
        let broken = with_an_unknown_operation()?;
        let fails_for_good = move || Ok(Staged { model: path(broken.path()), ..Staged::default() });
        let tokens = Subject::new("onnx", path(&fixture("vit"))).named("onnx, tokens").tolerance(1e-5);
        Ok(vec![subject.trouble(Trouble::FailsForGood, fails_for_good), tokens])
    })
}

/// Every folder in `families`.
fn families() -> Result<Vec<String>> {
    let failed = |e: std::io::Error| Error::io("the fixtures", e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(fixture("families")).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A graph that can be described and not loaded: it names an operation that does not exist.
fn with_an_unknown_operation() -> Result<tempfile::TempDir> {
    let failed = |e: std::io::Error| Error::io("a graph for the test", e);
    let folder = tempfile::tempdir().map_err(failed)?;
    for name in ["config.json", "preprocessor_config.json"] {
        std::fs::copy(fixture("vit").join(name), folder.path().join(name)).map_err(failed)?;
    }
    let mut bytes = std::fs::read(fixture("vit/model.onnx")).map_err(failed)?;
    // Field 4 of a node, 4 letters.
    let place = bytes.windows(6).position(|part| part == b"\x22\x04Conv");
    let place = place.ok_or_else(|| Error::new(imbed_core::ErrorKind::Internal, "the fixture is not as it was"))?;
    bytes[place + 5] = b'q';
    std::fs::write(folder.path().join("model.onnx"), bytes).map_err(failed)?;
    Ok(folder)
}
