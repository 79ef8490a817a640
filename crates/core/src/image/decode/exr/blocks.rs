//! What a block may ask for. A file of some hundred bytes can claim lines of a billion pixels, and the crate `exr` takes the memory for
//! them before it looks whether they come.

use exr::{
    block::chunk::{Chunk, CompressedBlock},
    error::{Error, Result as ExrResult},
    math::Vec2,
    meta::{attribute::Compression, header::Header},
};

use crate::{Result, image::decode::task::Task};

/// The side of the squares of DWA's cosine transform.
const SQUARE: u64 = 8;
/// Tables of codes.
const TABLES: u64 = 2 << 20;

/// The most that is taken at a time to undo a block of `layer`; an error if the layer or that is over the limits.
///
/// A layer covers its data window, which may be larger than the picture.
pub(super) fn memory(layer: &Header, task: &Task) -> Result<u64> {
    let Vec2(width, height) = layer.layer_size;
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let of_layer = |e: crate::Error| e.context("a layer of the OpenEXR");
    task.limits.check_size(side(width), side(height), 0).map_err(of_layer)?;

    let bytes = layer.channels.bytes_per_pixel as u64;
    let Vec2(across, down) = layer.max_block_pixel_size();
    // A tile may be larger than its layer. What stands in the file is read in one piece, whose length is a number of 32 bits.
    let stored = area(Vec2(across, down)).saturating_mul(bytes).min(i32::MAX as u64);
    let size = Vec2(across.min(width), down.min(height));
    let block = area(size).saturating_mul(bytes);
    let undone = match layer.compression {
        Compression::Uncompressed => 0,
        // As the compression holds it, as it comes out, and what is kept for the next block to be put in order in.
        Compression::RLE | Compression::ZIP1 | Compression::ZIP16 => block.saturating_mul(3),
        Compression::PIZ | Compression::PXR24 | Compression::B44 | Compression::B44A => {
            block.saturating_mul(3).saturating_add(TABLES)
        }
        // Both ways in which channels are stored, each before and after it is taken apart, and coefficients in numbers of 16 bits.
        _ => {
            let coefficients = coefficients(layer, size).saturating_mul(12);
            block.saturating_mul(8).saturating_add(coefficients).saturating_add(TABLES)
        }
    };
    let memory = stored.saturating_add(undone);
    task.check_memory(memory).map_err(|e| of_layer(e.context("a block of its pixels")))?;
    Ok(memory)
}

fn area(size: Vec2<usize>) -> u64 {
    (size.0 as u64).saturating_mul(size.1 as u64)
}

/// Coefficients of a block of so many pixels, filled up to whole squares.
fn coefficients(layer: &Header, size: Vec2<usize>) -> u64 {
    let filled = |side: usize| side.next_multiple_of(SQUARE as usize);
    area(Vec2(filled(size.0), filled(size.1))).saturating_mul(layer.channels.list.len() as u64)
}

/// Refuses a block of DWA that announces more of anything than its pixels can be.
pub(super) fn check_block(chunk: &Chunk, layers: &[Header]) -> ExrResult<()> {
    let Some(layer) = layers.get(chunk.layer_index) else { return Ok(()) };
    if !matches!(layer.compression, Compression::DWAA(_) | Compression::DWAB(_)) {
        return Ok(());
    }
    let stored = match &chunk.compressed_block {
        CompressedBlock::ScanLine(block) => &block.compressed_pixels_le,
        CompressedBlock::Tile(block) => &block.compressed_pixels_le,
        CompressedBlock::DeepScanLine(_) | CompressedBlock::DeepTile(_) => return Ok(()),
    };
    let place = layer.get_block_data_indices(&chunk.compressed_block)?;
    let size = layer.get_absolute_block_pixel_coordinates(place)?.size;
    let bytes = area(size).saturating_mul(layer.channels.bytes_per_pixel as u64);
    // A block that compression would not make smaller is stored as it is.
    if stored.len() as u64 == bytes {
        return Ok(());
    }
    // In the order of OpenEXR's `internal_dwa_compressor.h`, `DataSizesSingle`.
    let [_, unknown, _, _, _, _, runs, of_runs, ac, dc, ..] = stored.as_chunks::<8>().0 else { return Ok(()) };
    let coefficients = coefficients(layer, size);
    let most = [
        (unknown, bytes),
        // A run of one has a byte for its length.
        (runs, bytes.saturating_mul(2)),
        (of_runs, bytes),
        (ac, coefficients),
        (dc, coefficients / (SQUARE * SQUARE)),
    ];
    if most.iter().any(|(announced, most)| u64::from_le_bytes(**announced) > *most) {
        return Err(Error::Invalid("a block announces more than its pixels can be".into()));
    }
    Ok(())
}
