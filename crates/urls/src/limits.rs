//! What a fetch may take.

use std::{num::NonZeroUsize, time::Duration};

/// Redirects that are followed for one image.
pub(crate) const REDIRECTS: usize = 5;

/// Bounds on fetches. The bytes of an image are limited by [`imbed_core::image::Limits`], as those of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For one image in all: names, redirects and further tries included. Default one minute.
    pub time: Duration,
    /// Of that, until a connection stands. Default 10 seconds.
    pub connect: Duration,
    /// Of that, without a byte. Default 20 seconds.
    pub silence: Duration,
    /// Images that are fetched at once. Default 32.
    pub at_once: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_mins(1),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(20),
            at_once: NonZeroUsize::MIN.saturating_add(31),
        }
    }
}
