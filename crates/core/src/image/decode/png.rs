//! PNG, and the frames of APNG laid over each other as PIL lays them.

mod chunks;

use std::io::Read;

use ::png::{BlendOp, ColorType, Decoder, DecodingError, DisposeOp, FrameControl, Info, Reader, Transformations};

use self::chunks::{Kept, MOST_TEXT, chunks};
use super::{
    Decoded,
    canvas::{Canvas, Pixel, Place, blend},
    failure,
    frames::{self, Work},
    icc, metadata,
    task::Task,
    timed::Timed,
};
use crate::{
    Error, ErrorKind, Result,
    image::{Format, Image, Mode, Orientation, SampleType, Samples},
    options::{Alpha, Icc},
};

type Png<'a> = Reader<Timed<'a, Kept<'a>>>;

/// Bytes for each pixel beside the first picture and a later one: the canvas, what is put back, and a frame in two forms.
const FRAMES: u64 = 16;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    let failed = |e| failure::of_png_crate(bytes, e);
    let most = usize::try_from(task.limits.max_alloc).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Timed::new(Kept::new(bytes), task), ::png::Limits { bytes: most });
    // Fewer bits than 8 become 8, palettes become colours, a transparent colour becomes alpha; 16 bits stay.
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_ignore_text_chunk(!task.exif_orientation);
    let header = decoder.read_header_info().map_err(failed)?;
    task.limits.check_size(header.width, header.height, 1)?;
    let mut reader = decoder.read_info().map_err(failed)?;
    if reader.info().palette.as_ref().is_some_and(|palette| !palette.len().is_multiple_of(3)) {
        return Err(failure::damaged(Format::Png, bytes, "its palette ends within a colour"));
    }
    let mode = mode(&reader)?;
    let (width, height) = reader.info().size();
    let own = mode.bytes_per_pixel() as u64;
    task.check_picture(width, height, mode, if task.frame == 0 { own } else { FRAMES + 2 * own })?;

    let count = frame_count(reader.info());
    if task.frame as usize >= count {
        return Err(frames::missing(Format::Png, task.frame, count));
    }
    let mut animation = Animation::new(reader.info(), mode);
    let control = reader.info().frame_control;
    let mut image = next_image(&mut reader, mode, bytes, task)?;
    if task.frame > 0 {
        animation.start(&image, control);
        let mut work = Work::new(&task.limits);
        for _ in 0..task.frame {
            task.check_time(Format::Png)?;
            let control = *reader.next_frame_info().map_err(failed)?;
            let place = place(&control, (width, height))
                .ok_or_else(|| failure::damaged(Format::Png, bytes, "a frame of its animation leaves the picture"))?;
            work.spend(width, control.height)?;
            let image = next_image(&mut reader, mode, bytes, task)?;
            animation.show(&image, place, &control);
        }
        image = animation.image()?;
    }
    // What comes after the picture may turn it, so it must be there.
    if !task.allow_truncated && chunks(bytes).any(|chunk| chunk.cut) {
        return Err(failure::truncated(Format::Png, bytes));
    }
    let orientation = if task.exif_orientation { orientation(&mut reader, count) } else { Orientation::Upright };
    let profile = if task.icc == Icc::Srgb { profile(bytes) } else { None };
    Ok(Decoded { image, orientation, profile })
}

fn mode(reader: &Png<'_>) -> Result<Mode> {
    let (colour, depth) = reader.output_color_type();
    let samples = if depth == ::png::BitDepth::Sixteen { SampleType::U16 } else { SampleType::U8 };
    Mode::of(samples, colour.samples())
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("a PNG with {colour:?} pixels is not decoded")))
}

/// The next picture of the file, which may be smaller than the whole.
fn next_image(reader: &mut Png<'_>, mode: Mode, bytes: &[u8], task: &Task) -> Result<Image> {
    let failed = |e| failure::of_png_crate(bytes, e);
    let size = reader.output_buffer_size().ok_or_else(|| failed(DecodingError::LimitsExceeded))?;
    let each = mode.sample_type().bytes();
    let mut samples = Samples::zeros(mode.sample_type(), size / each);
    let interlaced = reader.info().interlaced;
    let (full, _) = reader.info().size();
    let (width, height) = match reader.next_frame(samples.bytes_mut()) {
        Ok(info) => (info.width, info.height),
        Err(e) if task.allow_truncated && failure::is_png_truncation(&e) => reader.info().size(),
        Err(e) => return Err(failed(e)),
    };
    let row = width as usize * mode.bytes_per_pixel();
    if interlaced && width < full {
        // Passes are put together in rows of the whole picture.
        let (stride, bytes) = (full as usize * mode.bytes_per_pixel(), samples.bytes_mut());
        for y in 1..height as usize {
            bytes.copy_within(y * stride..y * stride + row, y * row);
        }
    }
    samples.truncate(row / each * height as usize);
    if let Samples::U16(words) = &mut samples {
        for word in words {
            *word = u16::from_be(*word);
        }
    }
    Image::new(mode, width, height, samples)
}

/// Frames as PIL counts them: a first picture that is not part of the animation is one too.
fn frame_count(info: &Info<'_>) -> usize {
    match info.animation_control {
        None => 1,
        Some(control) => (control.num_frames as usize + usize::from(info.frame_control.is_none())).max(1),
    }
}

fn place(control: &FrameControl, (width, height): (u32, u32)) -> Option<Place> {
    let fits = |at: u32, length: u32, whole: u32| at.checked_add(length).is_some_and(|end| end <= whole);
    let within = fits(control.x_offset, control.width, width) && fits(control.y_offset, control.height, height);
    within.then_some(Place {
        x: control.x_offset as usize,
        y: control.y_offset as usize,
        width: control.width as usize,
        height: control.height as usize,
    })
}

/// The picture so far.
struct Animation {
    canvas: Canvas,
    alpha: bool,
    /// The colour of a place that is cleared.
    cleared: Pixel,
    /// What is done to a frame's place before the next one is shown.
    after: Option<(Place, After)>,
}

enum After {
    Clear,
    Restore(Vec<Pixel>),
}

impl Animation {
    fn new(info: &Info<'_>, mode: Mode) -> Self {
        let first = |bytes: &Option<std::borrow::Cow<'_, [u8]>>| bytes.as_ref().and_then(|b| b.first().copied());
        let cleared = match (info.color_type, info.palette.as_ref().and_then(|p| p.first_chunk().copied())) {
            (ColorType::Indexed, Some([r, g, b])) => [r, g, b, first(&info.trns).unwrap_or(255)],
            (ColorType::Rgba | ColorType::GrayscaleAlpha, _) => [0; 4],
            _ => [0, 0, 0, 255],
        };
        Self { canvas: Canvas::new(0, 0, [0; 4]), alpha: mode.has_alpha(), cleared, after: None }
    }

    /// Takes the first picture, whole as it is.
    fn start(&mut self, image: &Image, control: Option<FrameControl>) {
        let (width, height) = (image.width() as usize, image.height() as usize);
        self.canvas = Canvas { width, height, pixels: pixels(image) };
        // There is nothing before the first picture to go back to.
        if control.is_some_and(|control| control.dispose_op != DisposeOp::None) {
            self.after = Some((Place { x: 0, y: 0, width, height }, After::Clear));
        }
    }

    fn show(&mut self, image: &Image, place: Place, control: &FrameControl) {
        match self.after.take() {
            Some((place, After::Clear)) => self.canvas.fill(place, self.cleared),
            Some((place, After::Restore(pixels))) => self.canvas.lay(place, &pixels, |_, given| given),
            None => {}
        }
        self.after = match control.dispose_op {
            DisposeOp::None => None,
            DisposeOp::Background => Some((place, After::Clear)),
            DisposeOp::Previous => Some((place, After::Restore(self.canvas.copy(place)))),
        };
        let over = control.blend_op == BlendOp::Over;
        // PIL blends alpha like a colour.
        self.canvas.lay(place, &pixels(image), |old, given| {
            if over { std::array::from_fn(|c| blend(old[c], given[c], given[3])) } else { given }
        });
    }

    fn image(self) -> Result<Image> {
        let mode = if self.alpha { Mode::Rgba } else { Mode::Rgb };
        let (width, height) = (self.canvas.width as u32, self.canvas.height as u32);
        Image::new(mode, width, height, Samples::U8(self.canvas.bytes(self.alpha)))
    }
}

fn pixels(image: &Image) -> Vec<Pixel> {
    let rgba = image.convert(Mode::Rgba, Alpha::Drop);
    rgba.as_u8().unwrap_or_default().as_chunks().0.to_vec()
}

/// EXIF may come as a chunk of its own, before or after the picture, or as text, as `ImageMagick` writes it.
fn orientation(reader: &mut Png<'_>, frames: usize) -> Orientation {
    if frames == 1 && reader.info().exif_metadata.is_none() {
        // What comes after the picture and cannot be read is no reason to lose it.
        let _ = reader.finish();
    }
    let info = reader.info();
    let text = || raw_profile(info, "Raw profile type exif");
    let exif = info.exif_metadata.as_ref().map(|exif| exif.to_vec()).or_else(text);
    let xmp = info.utf8_text.iter().find(|text| text.keyword == "XML:com.adobe.xmp");
    let xmp = xmp.and_then(|text| {
        let mut text = text.clone();
        text.decompress_text_with_limit(MOST_TEXT).ok()?;
        text.get_text().ok()
    });
    metadata::orientation(exif.as_deref(), xmp.as_deref().map(str::as_bytes))
}

/// Bytes written as lines of hexadecimal digits, after an empty line, a name and a length.
fn raw_profile(info: &Info<'_>, keyword: &str) -> Option<Vec<u8>> {
    let plain = info.uncompressed_latin1_text.iter().find(|text| text.keyword == keyword);
    let compressed = || info.compressed_latin1_text.iter().find(|text| text.keyword == keyword);
    let text = plain.map(|text| text.text.clone()).or_else(|| {
        let mut text = compressed()?.clone();
        text.decompress_text_with_limit(MOST_TEXT).ok()?;
        text.get_text().ok()
    })?;
    let digits: Vec<u8> = text.lines().skip(3).flat_map(str::bytes).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.as_chunks::<2>().0.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}

/// The profile of the `iCCP` chunk, which is compressed: at most as much of it as a profile may have.
fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let data = chunks(bytes).take_while(|c| c.kind != *b"IDAT").find(|c| c.kind == *b"iCCP")?.data;
    let name = data.iter().position(|byte| *byte == 0)?;
    // A zero ends the name, another says deflate.
    let compressed = data.get(name + 1..)?.strip_prefix(&[0])?;
    let mut profile = Vec::new();
    let inflated = flate2::read::ZlibDecoder::new(compressed);
    inflated.take(icc::MOST_BYTES as u64 + 1).read_to_end(&mut profile).ok()?;
    Some(profile)
}
