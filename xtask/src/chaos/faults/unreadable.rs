//! Files that are there and cannot be read.

use std::fs;

use anyhow::Result;

use crate::chaos::{Fault, round::Round};

pub(crate) struct Unreadable;

impl Fault for Unreadable {
    fn name(&self) -> &'static str {
        "unreadable file"
    }

    fn happens(&self) -> &'static str {
        "images become links that lead nowhere while the run is under way. Each is a null row, and costs no other row."
    }

    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32> {
        round.meanwhile(most, |round| {
            let image = round.image()?;
            fs::remove_file(&image)?;
            link_to_nowhere(&image)
        })
    }
}

#[cfg(unix)]
fn link_to_nowhere(path: &std::path::Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink("nowhere", path)?)
}

#[cfg(not(unix))]
fn link_to_nowhere(path: &std::path::Path) -> Result<()> {
    Ok(fs::create_dir(path)?)
}
