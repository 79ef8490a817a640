//! What a provider that runs the golden checkpoints is tested on by the conformance suite.

use imbed_conformance::{Golden, Staged, Subject, Trouble};
use imbed_core::{Error, Result};

use super::checkpoints::{CHECKPOINTS, RAGGED, fixture};

/// The built-in model with every golden checkpoint, one that leaves the pooling open, and one that reads any proportion.
pub(crate) fn subjects(provider: &str) -> Result<Vec<Subject>> {
    let golden = fixture("tiny-golden.safetensors");
    let mut subject =
        Subject::new(provider, "imbed/tiny").golden(Golden::safetensors("imbed/tiny", "imbed/tiny", golden)?);
    for name in CHECKPOINTS.into_iter().chain([RAGGED]) {
        let folder = fixture(name);
        let model = folder.display().to_string();
        subject = subject.golden(Golden::safetensors(name, model, folder.join("golden.safetensors"))?);
    }
    let broken = with_a_layer_too_many()?;
    let fails_for_good = move || Ok(Staged { model: broken.path().display().to_string(), ..Staged::default() });
    let others = ["vit", RAGGED]
        .map(|name| Subject::new(provider, fixture(name).display().to_string()).named(format!("{provider}, {name}")));
    Ok([subject.trouble(Trouble::FailsForGood, fails_for_good)].into_iter().chain(others).collect())
}

/// A checkpoint whose config promises a layer that the weights do not have.
fn with_a_layer_too_many() -> Result<tempfile::TempDir> {
    let failed = |e: std::io::Error| Error::io("a checkpoint for the test", e);
    let folder = tempfile::tempdir().map_err(failed)?;
    for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        std::fs::copy(fixture("vit").join(file), folder.path().join(file)).map_err(failed)?;
    }
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).map_err(failed)?;
    let changed = text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert_ne!(text, changed, "the fixture's config is not as it was");
    std::fs::write(&config, changed).map_err(failed)?;
    Ok(folder)
}
