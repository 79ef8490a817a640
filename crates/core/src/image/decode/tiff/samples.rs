//! The samples of a page, out of its strips or tiles.

use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::{
    directory::{self, Directory},
    page::{self, Page},
    plain_file::Pieces,
};
use crate::{
    Result,
    image::{
        Format, Samples,
        decode::{failure, jpeg, task::Task, timed::Timed},
    },
};

/// The samples, those of a pixel together, one to an element, and the page as they now are.
pub(super) fn read(bytes: &[u8], directory: &Directory<'_>, mut page: Page, task: &Task) -> Result<(Samples, Page)> {
    if page.compression == page::JPEG {
        let samples = read_jpeg(bytes, directory, &page, task)?;
        if page.photometric == page::YCC && page.samples == 3 {
            page.photometric = page::RGB;
        }
        return Ok((Samples::U8(samples), page));
    }
    let failed = |e| failure::of_tiff_crate(bytes, e);
    let most = usize::try_from(task.limits.max_alloc).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    (limits.decoding_buffer_size, limits.ifd_value_size, limits.intermediate_buffer_size) = (most, most, most);
    let plain = page.plain(directory.layout.big_endian);
    let decoder = Decoder::new(Timed::new(plain.file(bytes), task)).map_err(failed)?;
    let mut decoder = decoder.with_limits(limits);
    let mut result = DecodingResult::U8(Vec::new());
    if let Err(e) = decoder.read_image_to_buffer(&mut result)
        && !(task.allow_truncated && failure::is_tiff_truncation(&e))
    {
        return Err(failed(e));
    }
    let samples = match result {
        DecodingResult::U8(bytes) if page.bits < 8 => Samples::U8(single(&bytes, &page)),
        DecodingResult::U8(bytes) => Samples::U8(bytes),
        DecodingResult::U16(words) => Samples::U16(words),
        // No mode is wider than 16 bits, and no eye sees what is lost.
        DecodingResult::U32(numbers) => Samples::U16(numbers.iter().map(|n| (n >> 16) as u16).collect()),
        DecodingResult::U64(numbers) => Samples::U16(numbers.iter().map(|n| (n >> 48) as u16).collect()),
        DecodingResult::F16(floats) => Samples::F32(floats.iter().map(|f| f.to_f32()).collect()),
        DecodingResult::F32(floats) => Samples::F32(floats),
        DecodingResult::F64(floats) => Samples::F32(floats.iter().map(|f| *f as f32).collect()),
        _ => return Err(failure::unsupported(Format::Tiff, "samples with a sign")),
    };
    let pixels = page.width as usize * page.height as usize;
    let each = usize::from(page.samples);
    let samples = match samples {
        Samples::U8(s) if page.shared != (1, 1) => Samples::U8(spread(&s, &page)),
        samples if !page.planar => samples,
        Samples::U8(s) => Samples::U8(interleave(&s, pixels, each)),
        Samples::U16(s) => Samples::U16(interleave(&s, pixels, each)),
        Samples::F32(s) => Samples::F32(interleave(&s, pixels, each)),
    };
    if samples.len() != pixels * each {
        return Err(failure::too_large(Format::Tiff, "its planes do not fit"));
    }
    Ok((samples, page))
}

/// One sample to a byte, of rows in which several share one.
fn single(packed: &[u8], page: &Page) -> Vec<u8> {
    let each = if page.planar { 1 } else { usize::from(page.samples) };
    let (row, bits) = (page.width as usize * each, usize::from(page.bits));
    let mask = (1 << bits) - 1;
    let sample = |bytes: &[u8], at: usize| bytes[at * bits / 8] >> (8 - bits - at * bits % 8) & mask;
    let rows = packed.chunks_exact((row * bits).div_ceil(8).max(1));
    let mut out = Vec::with_capacity(rows.len() * row);
    rows.for_each(|bytes| out.extend((0..row).map(|at| sample(bytes, at))));
    out
}

/// The samples of a pixel together, of planes one after another.
fn interleave<T: Copy>(planes: &[T], pixels: usize, each: usize) -> Vec<T> {
    if planes.len() < pixels * each {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(pixels * each);
    (0..pixels).for_each(|pixel| out.extend((0..each).map(|plane| planes[plane * pixels + pixel])));
    out
}

/// Three samples for every pixel, of groups that share their colour: all their brightnesses, and two differences.
fn spread(groups: &[u8], page: &Page) -> Vec<u8> {
    let (across, down) = (page.shared.0 as usize, page.shared.1 as usize);
    let (width, height) = (page.width as usize, page.height as usize);
    let length = across * down + 2;
    let row = width.div_ceil(across) * length;
    let mut out = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let groups = groups.get(y / down * row..).unwrap_or_default();
        for x in 0..width {
            let Some(group) = groups.get(x / across * length..).and_then(|rest| rest.get(..length)) else { continue };
            out.extend([group[y % down * across + x % across], group[length - 2], group[length - 1]]);
        }
    }
    out
}

/// The samples of strips or tiles that are JPEGs, perhaps with common tables.
fn read_jpeg(bytes: &[u8], directory: &Directory<'_>, page: &Page, task: &Task) -> Result<Vec<u8>> {
    if page.planar || page.bits != 8 {
        return Err(failure::unsupported(Format::Tiff, "JPEG of planes, or of other samples than bytes"));
    }
    let tables = directory.bytes(directory::JPEG_TABLES).unwrap_or_default();
    let tables = tables.strip_prefix(&[0xff, 0xd8]).and_then(|t| t.strip_suffix(&[0xff, 0xd9])).unwrap_or_default();
    // What the components are is not the JPEG's to say: an Adobe segment says it in the page's name.
    let transform = u8::from(page.photometric == page::YCC);
    let adobe = [&[0xff, 0xee, 0, 14], &b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat();

    let (width, height, each) = (page.width as usize, page.height as usize, usize::from(page.samples));
    let (piece_width, piece_height) = match page.pieces {
        Pieces::Strips { rows } => (width, rows as usize),
        Pieces::Tiles { width, height } => (width as usize, height as usize),
    };
    let across = width.div_ceil(piece_width);
    let mut out = vec![0; width * height * each];
    let task = &task.holding(out.len() as u64);
    for (number, (offset, length)) in page.places.iter().enumerate() {
        task.check_time(Format::Tiff)?;
        let (x, y) = (number % across * piece_width, number / across * piece_height);
        let piece = usize::try_from(*offset).ok().and_then(|offset| bytes.get(offset..)?.get(..*length as usize));
        let Some(piece) = piece.and_then(|piece| piece.strip_prefix(&[0xff, 0xd8])) else {
            if task.allow_truncated {
                break;
            }
            return Err(failure::truncated(Format::Tiff, bytes));
        };
        let mut file = [&[0xff, 0xd8], &adobe[..], tables, piece].concat();
        if task.allow_truncated {
            file.extend([0xff, 0xd9]);
        } else if !piece.ends_with(&[0xff, 0xd9]) && !piece.ends_with(&[0xff, 0xd9, 0]) {
            return Err(failure::truncated(Format::Tiff, bytes));
        }
        let held = task.holding(file.len() as u64);
        let part = jpeg::decode_part(&file, (piece_width, piece_height), &held)
            .map_err(|e| e.context(format_args!("strip or tile {number} of the TIFF")))?;
        if part.channels != each {
            let what = format!("a JPEG of {} samples in a TIFF of {each}", part.channels);
            return Err(failure::damaged(Format::Tiff, bytes, &what));
        }
        let columns = part.width.min(width.saturating_sub(x));
        let rows = part.height.min(height.saturating_sub(y));
        for (row, samples) in part.samples.chunks_exact((part.width * each).max(1)).take(rows).enumerate() {
            let start = ((y + row) * width + x) * each;
            out[start..start + columns * each].copy_from_slice(&samples[..columns * each]);
        }
    }
    Ok(out)
}
