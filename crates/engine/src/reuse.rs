//! What a run need not embed: images of an earlier row, and images of earlier runs.

use std::sync::Arc;

use crate::{
    cache::Cache,
    copies::{Claim, Copies},
    fingerprint::Fingerprint,
};

/// Where vectors may be found that are there already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reuse {
    pub(crate) copies: Option<Arc<Copies>>,
    pub(crate) cache: Option<Arc<Cache>>,
}

/// What is known of an image before it is prepared.
#[derive(Debug)]
pub(crate) enum Known {
    Nothing,
    /// An earlier row has it, so its vector comes without more work.
    Copy,
    Vector(Arc<[f32]>),
}

impl Reuse {
    /// Whether images must be told apart at all.
    pub(crate) fn is_on(&self) -> bool {
        self.copies.is_some() || self.cache.is_some()
    }

    /// Claims the image of row `sequence`, and says what is known of it.
    pub(crate) fn claim(&self, fingerprint: Fingerprint, sequence: u64) -> (Claim, Known) {
        let claimed = self.copies.as_ref().map(|copies| copies.claim(fingerprint, sequence));
        let is_copy = claimed.as_ref().is_some_and(|(_, is_copy)| *is_copy);
        let claim = Claim { fingerprint, original: claimed.map(|(original, _)| original) };
        let cached = || self.cache.as_ref().and_then(|cache| cache.get(&fingerprint));
        let known = if is_copy { Known::Copy } else { cached().map_or(Known::Nothing, Known::Vector) };
        (claim, known)
    }

    /// The next row with this image tries again.
    pub(crate) fn forget(&self, claim: &Claim) {
        if let Some(copies) = &self.copies {
            copies.forget(claim);
        }
    }
}
