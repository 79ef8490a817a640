//! A part loses its end.

use std::fs::OpenOptions;

use anyhow::Result;

use crate::chaos::{Fault, round::Round};

pub(crate) struct TornPart;

impl Fault for TornPart {
    fn name(&self) -> &'static str {
        "torn part"
    }

    fn happens(&self) -> &'static str {
        "the process dies, and one of the parts that it left is cut off at a random place, as a disk may that forgets what it was told to \
         keep."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        let mut faults = 0;
        while faults < most {
            let Some(mut child) = round.caught()? else { break };
            child.kill()?;
            child.wait()?;
            if let Some(part) = round.random.choice(round.parts()) {
                let file = OpenOptions::new().write(true).open(part)?;
                let size = file.metadata()?.len();
                file.set_len(round.random.u64(0..size.max(1)))?;
                faults += 1;
            }
        }
        Ok(faults)
    }
}
