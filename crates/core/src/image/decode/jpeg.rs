//! JPEG, decoded to the bytes that PIL gives.
//!
//! Models were trained on PIL's pixels, and PIL's are libjpeg-turbo's. How chroma is brought to full size and where sums are
//! rounded is left open by the standard; decoders differ by a few steps of 255, which is enough to move a vector. So every
//! step here is integer arithmetic that ends in the same bits: baseline, extended sequential and progressive coding with
//! Huffman codes, 8 bits a sample, any sampling factors. Damage within a scan is passed over as libjpeg does. What libjpeg
//! does and this does not: arithmetic and lossless coding, and the smoothing of progressive pictures whose last scans are missing.
//!
//! The path through the files: [`markers`] and [`tables`] read segments, [`decoder`] goes from one to the next. [`frame`] and
//! [`scan`] are the headers, [`bits`] and [`huffman`] the entropy-coded data between them, [`sequential`] and [`progressive`]
//! one block of it. [`one_scan`] or [`gathered`] go through all blocks, [`idct`] makes samples of each, or [`reduced`] fewer
//! of them, in a [`plane`] for every component, and [`output`] makes pixels of those, by [`upsample`] and [`colour`].

#![allow(clippy::inline_always, reason = "a function is compiled for the widest vectors only where it is inlined")]

mod bits;
mod colour;
mod decoder;
mod frame;
mod gathered;
mod huffman;
mod idct;
mod markers;
mod one_scan;
mod output;
mod plane;
mod progressive;
mod reduced;
mod refusal;
mod scan;
mod sequential;
mod standard;
mod tables;
mod upsample;
mod zigzag;

use self::{decoder::Decoder, refusal::Refusal};
use super::{DecodeOptions, Decoded, failure, icc, metadata, task::Task};
use crate::{
    Error, Result,
    image::{Format, Image, Mode, Orientation, Samples},
    options::Icc,
    preprocess::Size,
};

const END_OF_IMAGE: u8 = markers::EOI;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    // Decoding is lenient and fills what is missing with grey, so the end is looked for first.
    let ended;
    let (file, held) = match (ends(bytes), task.allow_truncated) {
        (true, _) => (bytes, 0),
        (false, false) => return Err(failure::truncated(Format::Jpeg, bytes)),
        (false, true) => {
            ended = [bytes, &[0xff, END_OF_IMAGE]].concat();
            (&ended[..], ended.len() as u64)
        }
    };
    let task = &task.holding(held);
    let mut decoder = Decoder::new(file).map_err(|refusal| error(refusal, bytes))?;
    let orientation = orientation(&decoder, task);
    let mut profile = if task.icc == Icc::Srgb { decoder.profile() } else { None };
    if decoder.has_inks() {
        // A profile for other colours than the picture's has nothing to say of what PIL makes of the inks.
        profile = profile.filter(|profile| icc::is_of_inks(profile));
        if profile.is_some() {
            decoder.keep_inks();
        }
    }
    check(&decoder, task)?;
    if let Some(least) = task.at_least {
        let least = turned(least, orientation);
        decoder.reduce(side(decoder.size(), least, orientation));
    }
    let (width, height) = decoder.size();
    let mut samples = samples(decoder, bytes, task)?;
    if samples.len() == width * height * 4 {
        // The profile is of inks, and is done with.
        let of_inks = profile.take().and_then(|profile| icc::inks_to_srgb(&samples, &profile));
        samples = of_inks.unwrap_or_else(|| inks_to_rgb(&samples));
    }
    let mode = if samples.len() == width * height { Mode::L } else { Mode::Rgb };
    let image = Image::new(mode, width as u32, height as u32, Samples::U8(samples))?;
    Ok(Decoded { image, orientation, profile })
}

/// The size that a JPEG has once it is decoded in full, by its header. None if it has none that can be decoded.
pub(super) fn full_size(bytes: &[u8], options: &DecodeOptions) -> Option<Size> {
    let decoder = Decoder::new(bytes).ok()?;
    let (width, height) = decoder.size();
    Some(turned(Size { height: height as u32, width: width as u32 }, orientation(&decoder, options)))
}

fn orientation(decoder: &Decoder<'_>, options: &DecodeOptions) -> Orientation {
    if !options.exif_orientation {
        return Orientation::Upright;
    }
    metadata::orientation(decoder.exif(), decoder.xmp())
}

fn turned(Size { height, width }: Size, orientation: Orientation) -> Size {
    if orientation.swaps_sides() { Size { height: width, width: height } } else { Size { height, width } }
}

/// The fewest pixels along a side of a block, 8 being all, that still make a picture of `size` (width, height) no smaller
/// than `least`.
///
/// A picture that is turned afterwards is made smaller by whole pixels only: one at the end that stands for fewer would come to
/// the beginning, and move all the others.
fn side(size: (usize, usize), least: Size, orientation: Orientation) -> usize {
    let whole = |length: usize, side: usize| orientation == Orientation::Upright || (length * side).is_multiple_of(8);
    let suffices =
        |length: usize, side: usize, least: u32| whole(length, side) && (length * side).div_ceil(8) >= least as usize;
    let both = |side: &usize| suffices(size.0, *side, least.width) && suffices(size.1, *side, least.height);
    [1, 2, 4].into_iter().find(both).unwrap_or(8)
}

/// Holds a picture's own size against the limits, and what decoding it takes.
fn check(decoder: &Decoder<'_>, task: &Task) -> Result<()> {
    let (width, height) = decoder.size();
    let (width, height) = (width as u32, height as u32);
    let (mode, working) = match decoder.channels() {
        1 => (Mode::L, 1),
        3 => (Mode::Rgb, 3),
        // Inks, and the colours that are made of them.
        _ => (Mode::Rgb, 7),
    };
    task.check_picture(width, height, mode, working)?;
    // The coefficients of all scans stay until the last sample is made.
    let pixels = u64::from(width) * u64::from(height) * decoder.channels() as u64;
    task.check_memory(pixels + decoder.working_bytes())
        .map_err(|e| e.context(format_args!("an image of {width} x {height} pixels in several scans")))
}

fn samples(decoder: Decoder<'_>, bytes: &[u8], task: &Task) -> Result<Vec<u8>> {
    decoder.decode(task.allow_truncated, task).map_err(|refusal| match refusal {
        Refusal::Late => task.late(Format::Jpeg),
        refusal => error(refusal, bytes),
    })
}

fn error(refusal: Refusal, bytes: &[u8]) -> Error {
    match refusal {
        Refusal::Truncated => failure::truncated(Format::Jpeg, bytes),
        Refusal::Damaged(what) => failure::damaged(Format::Jpeg, bytes, &what),
        Refusal::Unsupported(what) => failure::unsupported(Format::Jpeg, &what),
        // Said by whoever keeps the time.
        Refusal::Late => failure::damaged(Format::Jpeg, bytes, "it takes too long"),
    }
}

/// PIL's conversion of four inks, 255 for all the ink.
pub(super) fn inks_to_rgb(inks: &[u8]) -> Vec<u8> {
    let inks = inks.as_chunks::<4>().0;
    inks.iter().flat_map(|[c, m, y, k]| [c, m, y].map(|ink| colour::inked(255 - ink, 255 - k))).collect()
}

/// A picture within another file: no end marker is asked for, no metadata read.
pub(super) struct Part {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1, 3 or 4. Four are inks, as libjpeg gives them.
    pub(super) channels: usize,
    pub(super) samples: Vec<u8>,
}

/// Decodes a picture within another file, if it is at most `most` pixels wide and high.
pub(super) fn decode_part(bytes: &[u8], most: (usize, usize), task: &Task) -> Result<Part> {
    let mut decoder = Decoder::new(bytes).map_err(|refusal| error(refusal, bytes))?;
    let (width, height) = decoder.size();
    if width > most.0 || height > most.1 {
        let what = format!("a part of it has {width} x {height} pixels instead of {} x {}", most.0, most.1);
        return Err(failure::damaged(Format::Jpeg, bytes, &what));
    }
    let inks = decoder.has_inks();
    decoder.keep_inks();
    let channels = decoder.channels();
    check(&decoder, task)?;
    let mut samples = samples(decoder, bytes, task)?;
    if inks {
        for ink in &mut samples {
            *ink = 255 - *ink;
        }
    }
    Ok(Part { width, height, channels, samples })
}

/// Whether the file goes on to its end-of-image marker.
///
/// Walks from marker to marker, so that the end of a thumbnail inside a segment is not taken for the picture's. Damage in
/// the scan can look like a segment that leaves the file; then the last two bytes decide.
fn ends(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut in_scan = false;
    // The first two bytes are the start-of-image marker.
    let mut at = 2;
    // Skips entropy-coded data (and stray bytes between segments) up to the next marker.
    while let Some(ff) = bytes.get(at..).and_then(first_ff) {
        at += ff + 1;
        match bytes.get(at) {
            None => return false,
            Some(&END_OF_IMAGE) => return true,
            // A stuffed zero, a restart, TEM or another start: markers without a length. A fill byte: the marker follows.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(0xff) => {}
            Some(marker) => {
                in_scan |= *marker == START_OF_SCAN;
                let Some([high, low]) = bytes.get(at + 1..at + 3).and_then(|b| b.first_chunk()) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([*high, *low])).max(2);
            }
        }
    }
    in_scan && bytes.ends_with(&[0xff, END_OF_IMAGE])
}

/// Where the first byte 0xff is. Few are, so many bytes are looked at together.
fn first_ff(bytes: &[u8]) -> Option<usize> {
    const TOGETHER: usize = 64;
    let without = |bytes: &&[u8; TOGETHER]| bytes.iter().fold(0, |any, byte| any | u8::from(*byte == 0xff)) == 0;
    let passed = bytes.as_chunks().0.iter().take_while(without).count() * TOGETHER;
    bytes[passed..].iter().position(|byte| *byte == 0xff).map(|at| passed + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_picture() {
        let thumbnail = [0xff, 0xd8, 0xff, 0xe1, 0x00, 0x06, 0xff, 0xd8, 0xff, 0xd9];
        assert!(!ends(&thumbnail));
        assert!(ends(&[&thumbnail[..], &[0xff, 0xd9]].concat()));
    }

    #[test]
    fn a_scan_that_looks_like_a_segment_does_not_hide_the_end() {
        let scan = [0xff, 0xd8, 0xff, 0xda, 0x00, 0x02, 0x12, 0xff, 0xae, 0xee, 0xee];
        assert!(!ends(&scan));
        assert!(ends(&[&scan[..], &[0xff, 0xd9]].concat()));
    }

    #[test]
    fn a_marker_is_found_wherever_it_is() {
        for length in [0, 1, 63, 64, 65, 200] {
            let mut bytes = vec![0xfe; length];
            assert_eq!(first_ff(&bytes), None);
            for at in (0..length).rev() {
                bytes[at] = 0xff;
                assert_eq!(first_ff(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn the_smallest_size_that_suffices_is_chosen() {
        for (size, (width, height), expected) in [
            ((4000, 3000), (448, 448), 2),
            ((4000, 3000), (500, 375), 1),
            ((4000, 3000), (501, 375), 2),
            ((4000, 3000), (500, 376), 2),
            ((4001, 3000), (501, 1), 1),
            ((500, 375), (224, 224), 8),
            ((500, 375), (250, 188), 4),
            ((500, 375), (600, 600), 8),
            ((1, 1), (1, 1), 1),
            ((1, 1), (0, 0), 1),
            ((65_535, 65_535), (u32::MAX, 1), 8),
        ] {
            assert_eq!(side(size, Size { height, width }, Orientation::Upright), expected, "{size:?} {width}x{height}");
        }
        let turned = |size| side(size, Size { height: 1, width: 1 }, Orientation::Rotate90);
        assert_eq!([(4032, 3024), (4028, 3024), (4026, 3024), (4032, 3025)].map(turned), [1, 2, 4, 8]);
    }

    #[test]
    fn stuffed_bytes_restarts_and_fill_bytes_are_passed_over() {
        let scan = [0xff, 0xd8, 0xff, 0xda, 0x00, 0x02, 0x12, 0xff, 0x00, 0xd9, 0xff, 0xd0, 0x34, 0xff, 0xff];
        assert!(!ends(&scan));
        assert!(ends(&[&scan[..], &[0xd9]].concat()));
    }
}
