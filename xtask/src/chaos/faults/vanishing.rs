//! Files go away while they are read.

use std::fs;

use anyhow::{Result, ensure};

use crate::chaos::{
    Fault,
    round::{Round, said},
};

pub(crate) struct Vanishing;

impl Fault for Vanishing {
    fn name(&self) -> &'static str {
        "file vanishes"
    }

    fn happens(&self) -> &'static str {
        "images are removed while the run is under way. The run must end well, and the next one without them."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        let mut child = round.start()?;
        let mut faults = 0;
        while faults < most && child.try_wait()?.is_none() {
            round.wait();
            fs::remove_file(round.image()?)?;
            faults += 1;
        }
        let ended = child.wait_with_output()?;
        ensure!(matches!(ended.status.code(), Some(0 | 1)), "ended with {}:\n{}", ended.status, said(&ended));
        Ok(faults)
    }
}
