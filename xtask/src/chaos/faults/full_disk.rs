//! No file may grow any more.

use anyhow::{Result, ensure};

use crate::chaos::{
    Fault,
    round::{Round, said},
};

pub(crate) struct FullDisk;

impl Fault for FullDisk {
    fn name(&self) -> &'static str {
        "full disk"
    }

    fn happens(&self) -> &'static str {
        "writing fails beyond a random size of a file (`ulimit -f`), which grows from run to run. A run that fails must end with code 3 and \
         say how to go on once something is kept."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        let mut faults = 0;
        let mut blocks = round.random.u32(4..64);
        while faults < most {
            // The signal would end the process; a disk that is full is an error of the write.
            let ended = round.run_after(&format!("trap '' XFSZ; ulimit -f {blocks}"))?;
            match ended.status.code() {
                Some(0 | 1) => break,
                Some(3) => {}
                _ => ensure!(false, "ended with {}:\n{}", ended.status, said(&ended)),
            }
            let shows_how = said(&ended).contains("--resume");
            ensure!(shows_how || round.parts().is_empty(), "nothing says how to go on:\n{}", said(&ended));
            faults += 1;
            blocks += blocks / 2 + round.random.u32(1..64);
        }
        Ok(faults)
    }
}
