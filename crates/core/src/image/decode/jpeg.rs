//! JPEG, by the decoder that the `image` crate uses, without that crate's copies of the file and repeated headers.

use zune_jpeg::{
    JpegDecoder,
    errors::DecodeErrors,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{DecodeOptions, failure};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
};

const END_OF_IMAGE: u8 = 0xd9;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<(Image, Orientation)> {
    // The decoder is lenient and fills what is missing with grey, so the end is looked for first.
    let ended;
    let file = match (ends(bytes), options.allow_truncated) {
        (true, _) => bytes,
        (false, false) => return Err(failure::truncated(Format::Jpeg, bytes)),
        (false, true) => {
            ended = [bytes, &[0xff, END_OF_IMAGE]].concat();
            &ended
        }
    };
    let failed = |e: DecodeErrors| match e {
        DecodeErrors::Unsupported(what) => failure::unsupported(Format::Jpeg, &format!("{what:?}")),
        DecodeErrors::ExhaustedData => failure::truncated(Format::Jpeg, bytes),
        e => failure::damaged(Format::Jpeg, bytes, &format!("{e:?}")),
    };

    // Sides are checked against our own limits below.
    let decoder_options =
        DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), decoder_options);
    decoder.decode_headers().map_err(failed)?;
    let (Some((width, height)), Some(stored)) = (decoder.dimensions(), decoder.input_colorspace()) else {
        return Err(failure::damaged(Format::Jpeg, bytes, "it has no frame header"));
    };
    let (mode, space) = match stored {
        ColorSpace::Luma => (Mode::L, ColorSpace::Luma),
        _ => (Mode::Rgb, ColorSpace::RGB),
    };
    options.limits.check_size(width as u32, height as u32, mode.channels() as u64)?;
    decoder.set_options(decoder_options.jpeg_set_out_colorspace(space));
    let orientation = orientation(&decoder);
    let mut samples = vec![0; width * height * mode.channels()];
    decoder.decode_into(&mut samples).map_err(failed)?;
    Ok((Image::new(mode, width as u32, height as u32, Samples::U8(samples))?, orientation))
}

fn orientation(decoder: &JpegDecoder<ZCursor<&[u8]>>) -> Orientation {
    let exif = decoder.exif().and_then(|exif| image::metadata::Orientation::from_exif_chunk(exif));
    match exif {
        Some(found) => Orientation::from_exif(found.to_exif().into()),
        None => decoder.xmp().and_then(|xmp| Orientation::from_xmp(xmp)),
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
