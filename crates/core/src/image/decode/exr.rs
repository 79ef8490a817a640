//! `OpenEXR`: the first layer that has red, green and blue, as floats.
//!
//! The crate `exr` reads headers and undoes compressions, and takes what memory a file asks for: [`blocks`] looks at that first.
//! [`picture`] lays the blocks where they belong.

mod blocks;
mod picture;

use std::{io::Cursor, panic, thread};

use exr::{
    block::{
        UncompressedBlock,
        reader::{ChunksReader, Reader},
    },
    error::{Error, Result as ExrResult},
    math::Vec2,
};

use self::{blocks::check_block, picture::Picture};
use super::{Decoded, failure, task::Task, timed::Timed};
use crate::{Result, image::Orientation};

/// The most that a thread may be left with.
const KEPT: u64 = 4 << 20;

type File<'a> = Reader<Timed<'a, Cursor<&'a [u8]>>>;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    let failed = |e| failure::of_exr_crate(bytes, e);
    let file = exr::block::read(Timed::new(Cursor::new(bytes), task), false).map_err(failed)?;
    let layers = file.headers();
    // A block says itself of which layer it is, so it may be of any.
    let memory =
        layers.iter().map(|layer| blocks::memory(layer, task)).try_fold(0, |most, m| m.map(|m| most.max(m)))?;
    let (number, mut picture) = Picture::find(layers, &task.holding(memory))?;
    // The crate keeps bytes of a block for the next one, as long as the thread lives.
    let laid = if memory > KEPT {
        thread::scope(|scope| scope.spawn(|| lay(file, number, &mut picture, task)).join())
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
    } else {
        lay(file, number, &mut picture, task)
    };
    match laid {
        Err(e) if task.allow_truncated && failure::is_exr_truncation(&e) => {}
        result => result.map_err(failed)?,
    }
    Ok(Decoded { image: picture.into_image()?, orientation: Orientation::Upright, profile: None })
}

/// Reads the blocks of layer `number` and lays them into the picture.
fn lay(file: File<'_>, number: usize, picture: &mut Picture, task: &Task) -> ExrResult<()> {
    let wanted = |layer: usize, level: Vec2<usize>| layer == number && level == Vec2(0, 0);
    let mut chunks = file.filter_chunks(false, |_, _, block| wanted(block.layer, block.level))?;
    while let Some(chunk) = chunks.next() {
        if task.is_late() {
            return Err(Error::Aborted);
        }
        let (chunk, file) = (chunk?, chunks.meta_data());
        check_block(&chunk, &file.headers)?;
        let block = UncompressedBlock::decompress_chunk(chunk, file, false)?;
        if !wanted(block.index.layer, block.index.level) {
            return Err(Error::Invalid("a block is not the one that its table says".into()));
        }
        picture.lay(&block);
    }
    Ok(())
}
