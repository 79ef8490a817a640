//! The process is killed.

use anyhow::Result;

use crate::chaos::{Fault, round::Round};

pub(crate) struct Kill;

impl Fault for Kill {
    fn name(&self) -> &'static str {
        "SIGKILL"
    }

    fn happens(&self) -> &'static str {
        "the process dies at a random moment, as of `kill -9` or when memory runs out, and the next run goes on."
    }

    fn wanted(&self, kills: u32) -> u32 {
        kills
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        let mut faults = 0;
        while faults < most {
            let Some(mut child) = round.caught()? else { break };
            child.kill()?;
            child.wait()?;
            faults += 1;
        }
        Ok(faults)
    }
}
