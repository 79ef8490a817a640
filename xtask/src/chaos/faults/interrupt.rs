//! The user stops the run.

use anyhow::{Result, ensure};

use crate::chaos::{
    Fault,
    round::{Round, said, signal},
};

pub(crate) struct Interrupt;

impl Fault for Interrupt {
    fn name(&self) -> &'static str {
        "SIGINT"
    }

    fn happens(&self) -> &'static str {
        "Ctrl-C at a random moment, every third time twice, and the next run goes on. A run that is stopped must end with code 130."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        let mut faults = 0;
        while faults < most {
            let Some(mut child) = round.caught()? else { break };
            signal(&child, "INT")?;
            if faults % 3 == 2 && child.try_wait()?.is_none() {
                signal(&child, "INT")?;
            }
            let ended = child.wait_with_output()?;
            // Before the program listens, the signal ends it as it ends any; and it may come when all is done.
            let code = ended.status.code();
            ensure!(matches!(code, Some(0 | 1 | 130) | None), "stopped with {}:\n{}", ended.status, said(&ended));
            faults += 1;
        }
        Ok(faults)
    }
}
