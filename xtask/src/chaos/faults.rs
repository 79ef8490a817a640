//! What can go wrong, one file each.

mod changed;
mod full_disk;
mod interrupt;
mod kill;
mod torn_part;
mod unreadable;
mod vanishing;

use super::Fault;

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(kill::Kill),
        Box::new(interrupt::Interrupt),
        Box::new(full_disk::FullDisk),
        Box::new(torn_part::TornPart),
        Box::new(changed::Changed),
        Box::new(vanishing::Vanishing),
        Box::new(unreadable::Unreadable),
    ]
}
