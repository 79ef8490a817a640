//! The input is another when the next run comes.

use anyhow::Result;

use crate::chaos::{Fault, round::Round};

pub(crate) struct Changed;

impl Fault for Changed {
    fn name(&self) -> &'static str {
        "input changed"
    }

    fn happens(&self) -> &'static str {
        "the process dies, and before the next run images are changed, removed and added. The output must be that of the images as they \
         are at the end."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        let mut faults = 0;
        while faults < most {
            let mut child = round.start()?;
            round.wait();
            let ended = child.try_wait()?.is_some();
            child.kill()?;
            child.wait()?;
            for _ in 0..round.random.u32(1..6) {
                round.edit()?;
                faults += 1;
            }
            if ended {
                break;
            }
        }
        Ok(faults)
    }
}
