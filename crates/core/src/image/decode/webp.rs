//! WebP, and the frames of its animations laid over each other as libwebp lays them.

mod codes;

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;

use super::{
    Decoded,
    canvas::{Canvas, Pixel, Place},
    failure,
    frames::{self, Work},
    metadata, plain,
    task::Task,
    timed::Timed,
};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
    options::{Alpha, Icc},
};

/// Bytes for each pixel of an animation: the canvas, a frame in three forms, and what its decoder holds for blocks of pixels.
const WORKING: u64 = 18;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    // Orientation and profile may come after the picture, so that even a picture that is whole may lack something.
    let length = bytes.get(4..8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from(u32::from_le_bytes(*b)));
    if length + 8 > bytes.len() as u64 && !task.allow_truncated {
        return Err(failure::truncated(Format::WebP, bytes));
    }
    let Some(header) = Header::of_animation(bytes) else {
        return match task.frame {
            0 => plain::decode(bytes, Format::WebP, &holding_codes(bytes, task)?),
            frame => Err(frames::missing(Format::WebP, frame, 1)),
        };
    };
    task.check_picture(header.width, header.height, Mode::Rgba, WORKING)?;
    let image = frame(bytes, &header, task)?;
    let chunk = |kind: &[u8; 4]| chunks(bytes.get(12..).unwrap_or_default()).find(|c| c.kind == *kind).map(|c| c.data);
    let wanted = task.exif_orientation;
    let orientation = if wanted { metadata::orientation(chunk(b"EXIF"), chunk(b"XMP ")) } else { Orientation::Upright };
    let profile = if task.icc == Icc::Srgb { chunk(b"ICCP").map(<[u8]>::to_vec) } else { None };
    Ok(Decoded { image, orientation, profile })
}

/// The task while the codes of a picture of its own are held; an error if they take too much.
fn holding_codes(file: &[u8], task: &Task) -> Result<Task> {
    let most = task.limits.max_alloc;
    // The first of each kind is what is decoded.
    let part = |kind: &[u8; 4]| {
        chunks(file.get(12..).unwrap_or_default()).find(|chunk| chunk.kind == *kind).map_or(&[][..], |chunk| chunk.data)
    };
    // A picture of the largest size may take no bits, and to walk through one years, so that sizes are looked at first.
    let lossless = part(b"VP8L");
    if let Some(&[_, a, b, c, d]) = lossless.first_chunk() {
        let sides = u32::from_le_bytes([a, b, c, d]);
        task.limits.check_size((sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1, 1)?;
    }
    let picture = codes::memory(lossless, most);
    // Alpha is as large as the header says.
    let alpha = match part(b"VP8X") {
        &[_, _, _, _, w0, w1, w2, h0, h1, h2, ..] => {
            let [width, height] = [[w0, w1, w2], [h0, h1, h2]].map(|side| three_bytes(side) + 1);
            task.limits.check_size(width, height, 1)?;
            codes::memory_of_alpha(part(b"ALPH"), width as usize, height as usize, most)
        }
        _ => 0,
    };
    let memory = picture.max(alpha);
    task.check_memory(memory).map_err(|e| e.context("the Huffman codes of the WebP"))?;
    Ok(task.holding(memory))
}

/// What the extended header says.
struct Header {
    width: u32,
    height: u32,
    alpha: bool,
}

impl Header {
    /// None if the file is not an animation.
    fn of_animation(bytes: &[u8]) -> Option<Self> {
        let first = chunks(bytes.get(12..)?).next().filter(|chunk| chunk.kind == *b"VP8X")?;
        let &[flags, _, _, _, w0, w1, w2, h0, h1, h2] = first.data.first_chunk()?;
        let [width, height] = [[w0, w1, w2], [h0, h1, h2]].map(|b| three_bytes(b) + 1);
        (flags & 2 != 0).then_some(Self { width, height, alpha: flags & 0x10 != 0 })
    }
}

fn three_bytes([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// Whether the file ends within it.
    cut: bool,
}

/// The chunks one after another; they are padded to an even length.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let cut = after.len() < length;
        let (data, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        rest = after.get(length % 2..).unwrap_or_default();
        Some(Chunk { kind: *kind, data, cut })
    })
}

/// The frame that is asked for, over those before it.
fn frame(bytes: &[u8], header: &Header, task: &Task) -> Result<Image> {
    // Not gathered: a frame of nothing has eight bytes.
    let all = || chunks(bytes.get(12..).unwrap_or_default()).filter(|chunk| chunk.kind == *b"ANMF");
    let wanted = task.frame as usize;
    if all().nth(wanted).is_none() {
        return Err(match all().count() {
            0 => failure::truncated(Format::WebP, bytes),
            count => frames::missing(Format::WebP, task.frame, count),
        });
    }
    let mut animation = Animation {
        canvas: Canvas::new(header.width as usize, header.height as usize, [0; 4]),
        after: None,
        previous_was_key: false,
        shown: false,
    };
    let mut work = Work::new(&task.limits);
    let task = &task.holding(u64::from(header.width) * u64::from(header.height) * 4);
    for chunk in all().take(wanted + 1) {
        task.check_time(Format::WebP)?;
        let Some(frame) = Frame::read(chunk.data, header) else {
            return Err(if chunk.cut {
                failure::truncated(Format::WebP, bytes)
            } else {
                failure::damaged(Format::WebP, bytes, "a frame of its animation leaves the picture")
            });
        };
        work.spend(frame.place.width as u32, frame.place.height as u32)?;
        match frame.pixels(bytes, task) {
            Ok(pixels) => animation.show(&frame, &pixels),
            Err(_) if chunk.cut && task.allow_truncated => break,
            Err(_) if chunk.cut => return Err(failure::truncated(Format::WebP, bytes)),
            Err(e) => return Err(e),
        }
    }
    let mode = if header.alpha { Mode::Rgba } else { Mode::Rgb };
    Image::new(mode, header.width, header.height, Samples::U8(animation.canvas.bytes(header.alpha)))
}

struct Frame<'a> {
    place: Place,
    /// Whether its place is cleared before the next frame.
    clear: bool,
    /// Whether it lies over what is there, or replaces it.
    over: bool,
    chunks: &'a [u8],
}

impl<'a> Frame<'a> {
    /// None if it is cut off or leaves the picture.
    fn read(data: &'a [u8], header: &Header) -> Option<Self> {
        let (&[x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, _, _, _, flags], chunks) = data.split_first_chunk()?;
        let [x, y] = [[x0, x1, x2], [y0, y1, y2]].map(|b| 2 * three_bytes(b));
        let [width, height] = [[w0, w1, w2], [h0, h1, h2]].map(|b| three_bytes(b) + 1);
        let place = Place { x: x as usize, y: y as usize, width: width as usize, height: height as usize };
        let fits = x + width <= header.width && y + height <= header.height;
        fits.then_some(Self { place, clear: flags & 1 != 0, over: flags & 2 == 0, chunks })
    }

    /// Decoded as a picture of its own, which it becomes with a header.
    fn pixels(&self, bytes: &[u8], task: &Task) -> Result<Vec<Pixel>> {
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        let parts = || chunks(self.chunks).filter(|c| matches!(&c.kind, b"ALPH" | b"VP8 " | b"VP8L"));
        if parts().next().is_some_and(|chunk| chunk.kind == *b"ALPH") {
            file.extend(b"VP8X\x0a\0\0\0\x10\0\0\0");
            for side in [self.place.width, self.place.height] {
                file.extend(&((side - 1) as u32).to_le_bytes()[..3]);
            }
        }
        for chunk in parts() {
            file.extend(chunk.kind);
            file.extend((chunk.data.len() as u32).to_le_bytes());
            file.extend(chunk.data);
            file.resize(file.len().next_multiple_of(2), 0);
        }
        let length = (file.len() as u32 - 8).to_le_bytes();
        file[4..8].copy_from_slice(&length);
        let task = &holding_codes(&file, task)?;
        let decoder = WebPDecoder::new(Timed::new(Cursor::new(&file), task));
        let decoder = decoder.map_err(|e| failure::of_image_crate(Format::WebP, bytes, e))?;
        let image = plain::pixels(decoder, bytes, Format::WebP, &task.holding(file.len() as u64))?;
        if (image.width() as usize, image.height() as usize) != (self.place.width, self.place.height) {
            return Err(failure::damaged(
                Format::WebP,
                bytes,
                "a frame of its animation has another size than it says",
            ));
        }
        let image = image.convert(Mode::Rgba, Alpha::Drop);
        Ok(image.as_u8().unwrap_or_default().as_chunks().0.to_vec())
    }
}

struct Animation {
    canvas: Canvas,
    /// The place that is cleared before the next frame.
    after: Option<Place>,
    /// Whether the frame before started anew, which a cleared one hands on.
    previous_was_key: bool,
    /// Whether there is a frame yet.
    shown: bool,
}

impl Animation {
    fn show(&mut self, frame: &Frame<'_>, pixels: &[Pixel]) {
        let whole = |place: Place| {
            (place.x, place.y, place.width, place.height) == (0, 0, self.canvas.width, self.canvas.height)
        };
        let opaque = pixels.iter().all(|pixel| pixel[3] == 255);
        let cleared_all = self.after.is_some_and(|place| whole(place) || self.previous_was_key);
        let key = !self.shown || whole(frame.place) && (opaque || !frame.over) || cleared_all;
        let cleared = self.after.take();
        if let Some(place) = cleared {
            self.canvas.fill(place, [0; 4]);
        }
        if key && cleared_all {
            self.canvas.pixels.fill([0; 4]);
        }
        if frame.over && !key {
            let (place, width) = (frame.place, self.canvas.width);
            let mut under = self.canvas.copy(place).into_iter();
            let mut at = 0;
            let laid: Vec<Pixel> = pixels
                .iter()
                .map(|pixel| {
                    let (x, y) = (place.x + at % place.width, place.y + at / place.width);
                    at += 1;
                    let under = under.next().unwrap_or_default();
                    let fresh = cleared
                        .is_some_and(|c| (c.x..c.x + c.width).contains(&x) && (c.y..c.y + c.height).contains(&y));
                    debug_assert!(x < width);
                    if fresh { *pixel } else { over(*pixel, under) }
                })
                .collect();
            self.canvas.lay(place, &laid, |_, given| given);
        } else {
            self.canvas.lay(frame.place, pixels, |_, given| given);
        }
        self.after = frame.clear.then_some(frame.place);
        self.previous_was_key = key;
        self.shown = true;
    }
}

/// libwebp's arithmetic: `pixel` over `under`, neither multiplied by its alpha.
fn over(pixel: Pixel, under: Pixel) -> Pixel {
    let [alpha, under_alpha] = [pixel[3], under[3]].map(u32::from);
    if alpha == 255 {
        return pixel;
    }
    if alpha == 0 {
        return under;
    }
    let rest = (under_alpha * (256 - alpha)) >> 8;
    let sum = alpha + rest;
    let scale = (1 << 24) / sum;
    let colour = |c: usize| (((u32::from(pixel[c]) * alpha + u32::from(under[c]) * rest) * scale) >> 24) as u8;
    [colour(0), colour(1), colour(2), sum as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_lies_over_another_by_its_alpha() {
        assert_eq!(over([9, 9, 9, 255], [1, 1, 1, 255]), [9, 9, 9, 255]);
        assert_eq!(over([9, 9, 9, 0], [1, 2, 3, 4]), [1, 2, 3, 4]);
        let [r, g, b, a] = over([255, 0, 100, 128], [0, 255, 100, 255]);
        assert!(r.abs_diff(128) <= 1 && g.abs_diff(127) <= 1 && b.abs_diff(100) <= 1 && a >= 254);
    }

    #[test]
    fn chunks_are_padded_and_may_be_cut() {
        let all: Vec<_> = chunks(b"ABCD\x01\0\0\0x\0EFGH\x09\0\0\0yz").map(|c| (c.kind, c.data.len(), c.cut)).collect();
        assert_eq!(all, [(*b"ABCD", 1, false), (*b"EFGH", 2, true)]);
    }
}
