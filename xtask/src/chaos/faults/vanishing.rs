//! Files go away while they are read.

use std::fs;

use anyhow::Result;

use crate::chaos::{Fault, round::Round};

pub(crate) struct Vanishing;

impl Fault for Vanishing {
    fn name(&self) -> &'static str {
        "file vanishes"
    }

    fn happens(&self) -> &'static str {
        "images are removed while the run is under way. The run must end well, and the next one without them."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        round.meanwhile(most, |round| Ok(fs::remove_file(round.image()?)?))
    }
}
