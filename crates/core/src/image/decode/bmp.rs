//! Windows bitmaps: run lengths as PIL undoes them, everything else as the crate `image` does.

use super::{Decoded, failure, plain, task::Task};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
};

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    if let Some(runs) = Runs::read(bytes) {
        let image = runs.image(bytes, task)?;
        return Ok(Decoded { image, orientation: Orientation::Upright, profile: None });
    }
    check_size(bytes, task)?;
    let planes = if bytes.get(14) == Some(&12) { 22 } else { 26 };
    match bytes.get(planes..planes + 2) {
        // There never was another number of planes than one: whatever a file says, it means that.
        Some(said) if said != [1, 0] => {
            let mut bytes = bytes.to_vec();
            bytes[planes..planes + 2].copy_from_slice(&[1, 0]);
            plain::decode(&bytes, Format::Bmp, &task.holding(bytes.len() as u64))
        }
        _ => plain::decode(bytes, Format::Bmp, task),
    }
}

/// Holds the size that the header says against the limits, as the crate `image` has limits of its own.
fn check_size(bytes: &[u8], task: &Task) -> Result<()> {
    let number = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| i32::from_le_bytes(*b));
    // The oldest header has 12 bytes, and sides of 16 bits.
    if number(14) == 12 {
        return Ok(());
    }
    task.limits.check_size(number(18).unsigned_abs(), number(22).unsigned_abs(), 3)
}

/// A bitmap of run lengths, as its header says it.
struct Runs<'a> {
    width: u32,
    height: u32,
    top_down: bool,
    /// 4 or 8 bits an index.
    four_bits: bool,
    /// Blue, green, red and a byte more.
    palette: &'a [u8],
    /// Where the runs start.
    at: usize,
}

impl<'a> Runs<'a> {
    /// None if the file is no bitmap of run lengths, or damaged.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let header = number(14)?;
        let four_bits = match (number(30)?, number(28)? & 0xffff) {
            (1, 8) => false,
            (2, 4) => true,
            _ => return None,
        };
        if !matches!(header, 40 | 52 | 56 | 64 | 108 | 124) {
            return None;
        }
        let colours = match number(46)? {
            0 => {
                if four_bits {
                    16
                } else {
                    256
                }
            }
            colours => Some(colours as usize).filter(|n| *n <= 256)?,
        };
        let palette_at = 14 + header as usize;
        let palette = bytes.get(palette_at..)?.get(..colours * 4)?;
        let at = match number(10)? as usize {
            // Some writers forget the palette.
            at if at == palette_at => at + colours * 4,
            at => at,
        };
        let height = number(22)? as i32;
        let (height, top_down) = (height.unsigned_abs(), height < 0);
        Some(Self { width: number(18)?, height, top_down, four_bits, palette, at })
    }

    fn image(&self, bytes: &[u8], task: &Task) -> Result<Image> {
        // An index and its colour.
        task.check_picture(self.width, self.height, Mode::Rgb, 4)?;
        let (width, pixels) = (self.width as usize, self.width as usize * self.height as usize);
        if pixels == 0 {
            return Err(failure::damaged(Format::Bmp, bytes, "its width or height is 0"));
        }
        let (mut indices, whole) = self.indices(bytes, width, pixels);
        if !whole && !task.allow_truncated {
            return Err(failure::truncated(Format::Bmp, bytes));
        }
        // What was never written has the first colour.
        indices.resize(pixels, 0);
        let colour = |index: &u8| match self.palette.get(usize::from(*index) * 4..).and_then(|c| c.first_chunk()) {
            Some([b, g, r]) => [*r, *g, *b],
            None => [*index; 3],
        };
        let rows = indices.chunks_exact(width);
        let mut samples = Vec::with_capacity(pixels * 3);
        if self.top_down {
            rows.for_each(|row| samples.extend(row.iter().flat_map(colour)));
        } else {
            rows.rev().for_each(|row| samples.extend(row.iter().flat_map(colour)));
        }
        Image::new(Mode::Rgb, self.width, self.height, Samples::U8(samples))
    }

    /// The indices in the order of the file, and whether they end as the file says and not with it.
    fn indices(&self, bytes: &[u8], width: usize, pixels: usize) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(pixels);
        let (mut at, mut x) = (self.at, 0);
        while out.len() < pixels {
            let Some(&[count, value]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
                return (out, false);
            };
            at += 2;
            match (count, value) {
                (0, 0) => {
                    out.resize(out.len().next_multiple_of(width).min(pixels), 0);
                    x = 0;
                }
                (0, 1) => return (out, true),
                (0, 2) => {
                    let Some(&[right, down]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
                        return (out, false);
                    };
                    at += 2;
                    let skipped = usize::from(right) + usize::from(down) * width;
                    out.resize((out.len() + skipped).min(pixels), 0);
                    x = out.len() % width;
                }
                (0, count) => {
                    let count = usize::from(count).min(pixels - out.len());
                    let length = if self.four_bits { count.div_ceil(2) } else { count };
                    let Some(literal) = bytes.get(at..).and_then(|rest| rest.get(..length)) else {
                        return (out, false);
                    };
                    if self.four_bits {
                        out.extend(literal.iter().flat_map(|b| [b >> 4, b & 15]).take(count));
                    } else {
                        out.extend(literal);
                    }
                    at = (at + length).next_multiple_of(2);
                    x += count;
                }
                (count, value) => {
                    // A run that leaves its row is cut.
                    let count = usize::from(count).min(width.saturating_sub(x)).min(pixels - out.len());
                    let pair = if self.four_bits { [value >> 4, value & 15] } else { [value; 2] };
                    out.extend(pair.iter().cycle().take(count));
                    x += count;
                }
            }
        }
        (out, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::DecodeOptions;

    fn decode(file: &[u8], options: &DecodeOptions) -> Result<Decoded> {
        super::decode(file, &Task::new(options))
    }

    /// A bitmap of 4 x 2 with two colours, black and white.
    fn bitmap(height: i32, runs: &[u8]) -> Vec<u8> {
        let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
        for number in [62_u32, 40, 4, height as u32, 1 | 8 << 16, 1, 0, 0, 0, 2, 0] {
            file.extend(number.to_le_bytes());
        }
        file.extend([0, 0, 0, 0, 255, 255, 255, 0]);
        file.extend(runs);
        file
    }

    fn reds(file: &[u8]) -> Vec<u8> {
        let image = decode(file, &DecodeOptions::default()).unwrap().image;
        image.as_u8().unwrap().as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn runs_literals_and_jumps_are_written_from_the_bottom() {
        let runs = [2, 1, 0, 0, 0, 2, 1, 0, 0, 3, 1, 0, 1, 0, 0, 1];
        assert_eq!(reds(&bitmap(2, &runs)), [0, 255, 0, 255, 255, 255, 0, 0]);
        assert_eq!(reds(&bitmap(-2, &runs)), [255, 255, 0, 0, 0, 255, 0, 255]);
    }

    #[test]
    fn runs_are_cut_at_their_row_and_what_is_not_written_has_the_first_colour() {
        assert_eq!(reds(&bitmap(2, &[9, 1, 0, 1])), [0, 0, 0, 0, 255, 255, 255, 255]);
    }

    #[test]
    fn runs_that_end_with_the_file_are_an_error() {
        let error = decode(&bitmap(2, &[2, 1]), &DecodeOptions::default()).err().unwrap();
        assert!(error.message().contains("cut off"), "{error}");
        let lenient = DecodeOptions { allow_truncated: true, ..DecodeOptions::default() };
        assert!(decode(&bitmap(2, &[2, 1]), &lenient).is_ok());
    }
}
