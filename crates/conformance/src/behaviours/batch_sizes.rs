//! A vector does not depend on the batch it was computed in.

use super::always;
use crate::{Behaviour, behaviour::Check, bench::Bench, pictures::pictures};

/// `N`: more than the other batches, and no multiple of them.
const IMAGES: usize = 35;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "batch-sizes",
    promise: "batches of 1, 3, 16 and all images give the same vectors",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let images = pictures(IMAGES)?;
    let model = bench.model()?;
    let alone = model.embed_in_batches(&images, 1)?;
    for size in [3, 16, IMAGES] {
        let together = model.embed_in_batches(&images, size)?;
        bench
            .agree(&together, &alone)
            .map_err(|e| e.during(format_args!("batches of {size} against single images")))?;
    }
    Ok(())
}
