//! What a provider's crate says of itself, so that it can be tested.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use imbed_core::{Device, Result, options::OptionMap};

use crate::Golden;

/// A provider, a model of it, and what the suite needs to know to test the two.
pub struct Subject {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) options: OptionMap,
    pub(crate) device: Device,
    pub(crate) goldens: Vec<Golden>,
    pub(crate) secrets: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) tolerance: f64,
    pub(crate) patience: Duration,
    pub(crate) troubles: Vec<(Trouble, Stage)>,
}

/// Sets the stage for a trouble.
type Stage = Box<dyn Fn() -> Result<Staged> + Send + Sync>;

/// A way in which a provider can be made to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The first two calls of the model fail, and the same calls would succeed if they were repeated.
    FailsForNow,
    /// Loading or calling the model fails, however often it is tried.
    FailsForGood,
    /// Every call of the model takes 300 ms or longer.
    Slow,
}

/// A model that will misbehave as was asked for.
#[derive(Debug, Clone, Default)]
pub struct Staged {
    /// The model's name.
    pub model: String,
    /// Options in place of the subject's.
    pub options: OptionMap,
    /// Counts the calls that reach the model, or the requests that reach the service, where that can be seen.
    pub calls: Option<Arc<AtomicUsize>>,
}

impl Subject {
    /// The provider registered as `provider`, tested on its model `model`.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        let provider = provider.into();
        Self {
            name: provider.clone(),
            provider,
            model: model.into(),
            options: OptionMap::default(),
            device: Device::Cpu,
            goldens: Vec::new(),
            secrets: Vec::new(),
            environment: Vec::new(),
            tolerance: 1e-4,
            patience: Duration::from_secs(5),
            troubles: Vec::new(),
        }
    }

    /// The name in reports, where one provider is tested in more than one way. Default: the provider's.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets an option of the model, as text.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// The device to test on. Default: the processor.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Adds vectors that somebody else computed.
    #[must_use]
    pub fn golden(mut self, golden: Golden) -> Self {
        self.goldens.push(golden);
        self
    }

    /// A secret that the provider was given, such as an API key, which nothing may print.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// An environment variable of the other process that descriptors are sent to, such as the one with its API key: secrets
    /// do not travel.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How far apart two vectors of the same image may be, `‖a − b‖ / ‖b‖`, where the model does not claim to be
    /// deterministic. Default 1e-4.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How soon a cancelled run must end. Default: 5 seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How to bring `trouble` about; called anew for every run that needs it.
    #[must_use]
    pub fn trouble(mut self, trouble: Trouble, stage: impl Fn() -> Result<Staged> + Send + Sync + 'static) -> Self {
        self.troubles.push((trouble, Box::new(stage)));
        self
    }

    /// Whether the subject knows how to bring `trouble` about.
    pub(crate) fn knows(&self, trouble: Trouble) -> bool {
        self.troubles.iter().any(|(t, _)| *t == trouble)
    }

    /// Brings `trouble` about; `None` if the subject does not know how.
    pub(crate) fn stage(&self, trouble: Trouble) -> Option<Result<Staged>> {
        self.troubles.iter().find(|(t, _)| *t == trouble).map(|(_, stage)| stage())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options and the secrets, which may be what must not be printed.
        f.debug_struct("Subject").field("name", &self.name).field("model", &self.model).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_does_not_print_its_secrets() {
        let subject = Subject::new("mine", "m").secret("hunter2").option("key", "hunter2");
        assert!(!format!("{subject:?}").contains("hunter2"));
    }

    #[test]
    fn only_troubles_that_were_described_can_be_staged() {
        let staged = || Ok(Staged { model: "slow".to_owned(), ..Staged::default() });
        let subject = Subject::new("mine", "m").trouble(Trouble::Slow, staged);
        assert_eq!(subject.stage(Trouble::Slow).unwrap().unwrap().model, "slow");
        assert!(subject.stage(Trouble::FailsForGood).is_none());
        assert!(subject.knows(Trouble::Slow) && !subject.knows(Trouble::FailsForNow));
    }
}
