//! Windows icons: the entry that PIL takes, a PNG or a bitmap with a mask of its own.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;

use super::{Decoded, failure, plain, png, task::Task, timed::Timed};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
    options::Alpha,
};

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    let Some(entry) = Entry::largest(bytes) else { return Err(failure::truncated(Format::Ico, bytes)) };
    let Some(data) = bytes.get(entry.offset..).filter(|data| data.len() > 8) else {
        return Err(failure::truncated(Format::Ico, bytes));
    };
    if data.starts_with(b"\x89PNG\r\n\x1a\n") {
        return png::decode(data, task).map_err(|e| e.context("the ICO's picture"));
    }
    let image = bitmap(bytes, data, &entry, task)?;
    Ok(Decoded { image, orientation: Orientation::Upright, profile: None })
}

/// A line of the directory.
struct Entry {
    /// Width times height.
    area: u32,
    /// As PIL ranks it: bits, or what the count of colours needs, or 256 for nothing said.
    depth: u32,
    bits: u16,
    size: usize,
    offset: usize,
}

impl Entry {
    fn read(line: &[u8; 16]) -> Self {
        let [width, height, colours, _, _, _, b0, b1, s0, s1, s2, s3, o0, o1, o2, o3] = *line;
        let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
        let bits = u16::from_le_bytes([b0, b1]);
        let depth = match (bits, colours) {
            (0, 0 | 1) => 256,
            (0, colours) => u32::from(colours).next_power_of_two().ilog2(),
            (bits, _) => u32::from(bits),
        };
        Self {
            area: side(width) * side(height),
            depth,
            bits,
            size: u32::from_le_bytes([s0, s1, s2, s3]) as usize,
            offset: u32::from_le_bytes([o0, o1, o2, o3]) as usize,
        }
    }

    /// The largest, and of several the one with the fewest bits, and of those the first: PIL's choice.
    fn largest(bytes: &[u8]) -> Option<Self> {
        let count = usize::from(u16::from_le_bytes([*bytes.get(4)?, *bytes.get(5)?]));
        let lines = bytes.get(6..)?.as_chunks::<16>().0.iter().take(count);
        lines.map(Self::read).min_by_key(|entry| (std::cmp::Reverse(entry.area), entry.depth))
    }
}

/// The bitmap, without its file header, whose height counts the picture and the mask below it.
fn bitmap(bytes: &[u8], data: &[u8], entry: &Entry, task: &Task) -> Result<Image> {
    let damaged = |why: &str| failure::damaged(Format::Ico, bytes, why);
    let mut data = data.to_vec();
    let Some((header, bits)) = halve_height(&mut data) else { return Err(damaged("its bitmap has no header")) };
    let decoder = BmpDecoder::new_without_file_header(Timed::new(Cursor::new(&data[..]), task))
        .map_err(|e| failure::of_image_crate(Format::Ico, bytes, e))?;
    let held = task.holding(data.len() as u64);
    let image = plain::pixels(decoder, bytes, Format::Ico, &held)?.convert(Mode::Rgb, Alpha::Drop);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let alpha = if bits == 32 && entry.bits == 32 {
        // The fourth byte of each pixel.
        data.get(header..).and_then(|rest| rest.get(..width * height * 4)).map(|pixels| {
            let mut alpha = Vec::with_capacity(width * height);
            for row in pixels.chunks_exact(width * 4).rev() {
                alpha.extend(row.as_chunks::<4>().0.iter().map(|pixel| pixel[3]));
            }
            alpha
        })
    } else {
        mask(bytes, entry, width, height)
    };
    let alpha: Vec<u8> = match alpha {
        Some(alpha) => alpha,
        None if task.allow_truncated => vec![255; width * height],
        None => return Err(damaged("its mask is cut off")),
    };
    let colours = image.as_u8().unwrap_or_default().as_chunks::<3>().0;
    let samples = colours.iter().zip(alpha).flat_map(|([r, g, b], a)| [*r, *g, *b, a]).collect();
    Image::new(Mode::Rgba, width as u32, height as u32, Samples::U8(samples))
}

/// The length of the bitmap's header and its bits a pixel, after the height has been halved.
fn halve_height(data: &mut [u8]) -> Option<(usize, u16)> {
    let header = u32::from_le_bytes(*data.first_chunk()?) as usize;
    if header == 12 {
        let height = u16::from_le_bytes(*data.get(6..)?.first_chunk()?);
        data.get_mut(6..8)?.copy_from_slice(&(height / 2).to_le_bytes());
        return Some((header, u16::from_le_bytes(*data.get(10..)?.first_chunk()?)));
    }
    let height = i32::from_le_bytes(*data.get(8..)?.first_chunk()?);
    data.get_mut(8..12)?.copy_from_slice(&(height / 2).to_le_bytes());
    Some((header, u16::from_le_bytes(*data.get(14..)?.first_chunk()?)))
}

/// Alpha from the mask at the end of the entry: one bit a pixel, rows from the bottom, padded to four bytes; 1 is transparent.
fn mask(bytes: &[u8], entry: &Entry, width: usize, height: usize) -> Option<Vec<u8>> {
    let stride = width.next_multiple_of(32) / 8;
    let start = entry.offset.checked_add(entry.size)?.checked_sub(stride * height)?;
    let rows = bytes.get(start..)?.get(..stride * height)?.chunks_exact(stride).rev();
    let alpha = |row: &[u8], x: usize| if row[x / 8] & (0x80 >> (x % 8)) == 0 { 255 } else { 0 };
    let mut out = Vec::with_capacity(width * height);
    rows.for_each(|row| out.extend((0..width).map(|x| alpha(row, x))));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_entry_is_taken_and_of_several_the_one_with_the_fewest_bits() {
        let line = |side: u8, bits: u8, offset: u8| [side, side, 0, 0, 1, 0, bits, 0, 9, 0, 0, 0, offset, 0, 0, 0];
        let icon = |lines: &[[u8; 16]]| [&[0, 0, 1, 0, lines.len() as u8, 0][..], lines.as_flattened()].concat();
        let chosen = |lines: &[[u8; 16]]| Entry::largest(&icon(lines)).unwrap().offset;
        assert_eq!(chosen(&[line(16, 32, 1), line(48, 8, 2), line(32, 32, 3)]), 2);
        assert_eq!(chosen(&[line(48, 32, 1), line(48, 4, 2), line(48, 4, 3)]), 2);
        assert_eq!(chosen(&[line(255, 32, 1), line(0, 32, 2)]), 2, "0 is 256");
        assert!(Entry::largest(&[0, 0, 1, 0, 1, 0, 1, 2]).is_none());
    }
}
