//! JPEG, decoded to the bytes that PIL gives.
//!
//! Models were trained on PIL's pixels, and PIL's are libjpeg-turbo's. How chroma is brought to full size and where sums are
//! rounded is left open by the standard; decoders differ by a few steps of 255, which is enough to move a vector. So every
//! step here is integer arithmetic that ends in the same bits: baseline, extended sequential and progressive coding with
//! Huffman codes, 8 bits a sample, any sampling factors. Damage within a scan is passed over as libjpeg does. What libjpeg
//! does and this does not: arithmetic and lossless coding, Motion JPEG without its tables, and the smoothing of progressive
//! pictures whose last scans are missing.
//!
//! The path through the files: [`markers`] and [`tables`] read segments, [`decoder`] goes from one to the next. [`frame`] and
//! [`scan`] are the headers, [`bits`] and [`huffman`] the entropy-coded data between them, [`sequential`] and [`progressive`]
//! one block of it. [`one_scan`] or [`gathered`] go through all blocks, [`idct`] makes samples of each, in a [`plane`] for every
//! component, and [`output`] makes pixels of those, by [`upsample`] and [`colour`].

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
mod refusal;
mod scan;
mod sequential;
mod tables;
mod upsample;
mod zigzag;

use self::{decoder::Decoder, refusal::Refusal};
use super::{DecodeOptions, failure};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
};

const END_OF_IMAGE: u8 = markers::EOI;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<(Image, Orientation)> {
    // Decoding is lenient and fills what is missing with grey, so the end is looked for first.
    let ended;
    let file = match (ends(bytes), options.allow_truncated) {
        (true, _) => bytes,
        (false, false) => return Err(failure::truncated(Format::Jpeg, bytes)),
        (false, true) => {
            ended = [bytes, &[0xff, END_OF_IMAGE]].concat();
            &ended
        }
    };
    let failed = |refusal| match refusal {
        Refusal::Truncated => failure::truncated(Format::Jpeg, bytes),
        Refusal::Damaged(what) => failure::damaged(Format::Jpeg, bytes, &what),
        Refusal::Unsupported(what) => failure::unsupported(Format::Jpeg, &what),
    };

    let decoder = Decoder::new(file).map_err(failed)?;
    let (width, height) = decoder.size();
    let mode = if decoder.is_grey() { Mode::L } else { Mode::Rgb };
    options.limits.check_size(width as u32, height as u32, mode.channels() as u64)?;
    options.limits.check_working_memory(decoder.working_bytes())?;
    let orientation = orientation(&decoder);
    let samples = decoder.decode(options.allow_truncated).map_err(failed)?;
    Ok((Image::new(mode, width as u32, height as u32, Samples::U8(samples))?, orientation))
}

fn orientation(decoder: &Decoder<'_>) -> Orientation {
    let exif = decoder.exif().and_then(image::metadata::Orientation::from_exif_chunk);
    match exif {
        Some(found) => Orientation::from_exif(found.to_exif().into()),
        None => decoder.xmp().and_then(Orientation::from_xmp),
    }
    .unwrap_or_default()
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
    while let Some(ff) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xff)) {
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
    fn stuffed_bytes_restarts_and_fill_bytes_are_passed_over() {
        let scan = [0xff, 0xd8, 0xff, 0xda, 0x00, 0x02, 0x12, 0xff, 0x00, 0xd9, 0xff, 0xd0, 0x34, 0xff, 0xff];
        assert!(!ends(&scan));
        assert!(ends(&[&scan[..], &[0xd9]].concat()));
    }
}
