//! What came of a suite, for programs to read: `cargo xtask test-providers` puts several together.

use serde::{Deserialize, Serialize};

use crate::{Behaviour, Verdict};

/// One subject's results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The subject's name.
    pub subject: String,
    /// The provider's registered name.
    pub provider: String,
    /// The model that the behaviours were tested on.
    pub model: String,
    /// One for each behaviour that was run, in the suite's order.
    pub behaviours: Vec<Outcome>,
    /// The vectors of the golden images, for comparison with other providers.
    pub families: Vec<Family>,
}

/// What came of one behaviour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The behaviour's name.
    pub name: String,
    /// `passed`, `cannot` or `failed`.
    pub verdict: String,
    /// Why it does not apply, or how it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Vectors of one golden file's images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Family {
    /// Providers with the same family run the same weights.
    pub family: String,
    /// A hash of the images: only vectors of the same ones can be compared.
    pub images: String,
    /// The number type that the model computed in.
    pub dtype: String,
    /// What the provider gave.
    pub vectors: Vec<Vec<f32>>,
    /// What the reference gave.
    pub reference: Vec<Vec<f32>>,
}

impl Report {
    /// The outcome of the behaviour called `name`, if it was run.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.behaviours.iter().find(|outcome| outcome.name == name)
    }

    /// The behaviours that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.behaviours.iter().filter(|outcome| outcome.verdict == "failed")
    }
}

impl Outcome {
    pub(crate) fn new(behaviour: &Behaviour, verdict: &Verdict) -> Self {
        let (word, reason) = match verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Cannot(reason) => ("cannot", Some(reason.clone())),
            Verdict::Failed(reason) => ("failed", Some(reason.clone())),
        };
        Self { name: behaviour.name.to_owned(), verdict: word.to_owned(), reason }
    }
}
