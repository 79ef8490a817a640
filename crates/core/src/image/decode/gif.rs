//! GIF: frames laid over each other as PIL lays them.

use ::gif::{ColorOutput, DecodeOptions as Options, DisposalMethod, MemoryLimit};

use super::{
    Decoded,
    canvas::{Canvas, Pixel, Place},
    failure,
    frames::{self, Work},
    task::Task,
    timed::Timed,
};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
    options::Icc,
};

/// Bytes for each pixel: an index, the canvas, and what is put back or a canvas that grows.
const WORKING: u64 = 9;

type Decoder<'a> = ::gif::Decoder<Timed<'a, &'a [u8]>>;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    let failed = |e| failure::of_gif_crate(bytes, e);
    let mut decoder = open(bytes, task).map_err(failed)?;
    let profile = if task.icc == Icc::Srgb { decoder.icc_profile().map(<[u8]>::to_vec) } else { None };
    let mut animation = Animation::default();
    let mut work = Work::new(&task.limits);
    for number in 0..=task.frame {
        task.check_time(Format::Gif)?;
        let Some(frame) = Frame::next(&mut decoder).map_err(failed)? else {
            return Err(match number {
                0 => failure::truncated(Format::Gif, bytes),
                _ => frames::missing(Format::Gif, task.frame, number as usize),
            });
        };
        let (width, height) = animation.size_with(&frame, &decoder);
        task.check_picture(width as u32, height as u32, Mode::Rgba, WORKING)?;
        work.spend(frame.place.width as u32, frame.place.height as u32)?;
        let mut indices = vec![0; frame.place.width * frame.place.height];
        match decoder.read_into_buffer(&mut indices) {
            // Pixels may end before the file does.
            Err(_) if task.allow_truncated => {}
            result => result.map_err(failed)?,
        }
        animation.show(&frame, &indices, (width, height), decoder.bg_color());
    }
    // Nothing is shown after this frame.
    animation.after = None;
    let alpha = animation.transparent;
    let canvas = animation.canvas.unwrap_or_else(|| Canvas::new(0, 0, [0; 4]));
    let (mode, width, height) = (if alpha { Mode::Rgba } else { Mode::Rgb }, canvas.width as u32, canvas.height as u32);
    let image = Image::new(mode, width, height, Samples::U8(canvas.bytes(alpha)))?;
    Ok(Decoded { image, orientation: Orientation::Upright, profile })
}

fn open<'a>(bytes: &'a [u8], task: &'a Task) -> Result<Decoder<'a>, ::gif::DecodingError> {
    let mut settings = Options::new();
    settings.set_color_output(ColorOutput::Indexed);
    let most = std::num::NonZeroU64::new(task.limits.max_alloc).unwrap_or(std::num::NonZeroU64::MIN);
    settings.set_memory_limit(MemoryLimit::Bytes(most));
    settings.read_info(Timed::new(bytes, task))
}

/// What a frame's header says.
struct Frame {
    place: Place,
    palette: Vec<u8>,
    transparent: Option<u8>,
    disposal: DisposalMethod,
}

impl Frame {
    fn next(decoder: &mut Decoder<'_>) -> Result<Option<Self>, ::gif::DecodingError> {
        let Some(frame) = decoder.next_frame_info()? else { return Ok(None) };
        let (x, y, width, height) = (frame.left, frame.top, frame.width, frame.height);
        let (transparent, disposal) = (frame.transparent, frame.dispose);
        let place = Place { x: x.into(), y: y.into(), width: width.into(), height: height.into() };
        let palette = decoder.palette().unwrap_or_default().to_vec();
        Ok(Some(Self { place, palette, transparent, disposal }))
    }

    /// An index that the palette lacks is a grey, as in PIL.
    fn colour(&self, index: u8) -> Pixel {
        let at = usize::from(index) * 3;
        let [r, g, b] = self.palette.get(at..).and_then(|rest| rest.first_chunk().copied()).unwrap_or([index; 3]);
        [r, g, b, 255]
    }
}

/// The picture so far.
#[derive(Default)]
struct Animation {
    canvas: Option<Canvas>,
    /// Whether the first frame has a transparent index, and with it the picture alpha.
    transparent: bool,
    /// A frame that does not name a way keeps the way of the one before it.
    disposal: Option<DisposalMethod>,
    /// What is put in a frame's place before the next one is shown.
    after: Option<(Place, Vec<Pixel>)>,
}

impl Animation {
    /// The size of the picture once it shows `frame`: frames that leave it make it larger.
    fn size_with(&self, frame: &Frame, decoder: &Decoder<'_>) -> (usize, usize) {
        let (width, height) = match &self.canvas {
            Some(canvas) => (canvas.width, canvas.height),
            None => (decoder.width().into(), decoder.height().into()),
        };
        let Place { x, y, width: w, height: h } = frame.place;
        (width.max(x + w), height.max(y + h))
    }

    fn show(&mut self, frame: &Frame, indices: &[u8], (width, height): (usize, usize), background: Option<usize>) {
        if let (Some(canvas), Some((place, pixels))) = (&mut self.canvas, self.after.take()) {
            canvas.lay(place, &pixels, |_, given| given);
        }
        let first = self.canvas.is_none();
        let clear = frame.transparent.map(|index| {
            let [r, g, b, _] = frame.colour(index);
            [r, g, b, 0]
        });
        let mut canvas = match self.canvas.take() {
            None => {
                self.transparent = clear.is_some();
                Canvas::new(width, height, clear.unwrap_or(frame.colour(0)))
            }
            Some(canvas) if (canvas.width, canvas.height) == (width, height) => canvas,
            Some(canvas) => canvas.grown(width, height, if clear.is_some() { [0; 4] } else { frame.colour(0) }),
        };
        self.dispose_later(frame, &mut canvas, first, clear, background);
        let place = frame.place;
        for (row, indices) in canvas.rows(place).zip(indices.chunks_exact(place.width.max(1))) {
            for (pixel, index) in row.iter_mut().zip(indices) {
                match clear {
                    Some(clear) if frame.transparent == Some(*index) => *pixel = if first { clear } else { *pixel },
                    _ => *pixel = frame.colour(*index),
                }
            }
        }
        self.canvas = Some(canvas);
    }

    /// Decides what follows the frame, while the canvas does not show it yet.
    fn dispose_later(
        &mut self,
        frame: &Frame,
        canvas: &mut Canvas,
        first: bool,
        clear: Option<Pixel>,
        background: Option<usize>,
    ) {
        if frame.disposal != DisposalMethod::Any {
            self.disposal = Some(frame.disposal);
        }
        let filled = |colour| vec![colour; frame.place.width * frame.place.height];
        let pixels = match (self.disposal, clear) {
            (Some(DisposalMethod::Background), Some(clear)) => filled(clear),
            (Some(DisposalMethod::Background), None) => filled(frame.colour(background.unwrap_or(0) as u8)),
            (Some(DisposalMethod::Previous), Some(clear)) if first => filled(clear),
            (Some(DisposalMethod::Previous), _) if !first => canvas.copy(frame.place),
            _ => return,
        };
        self.after = Some((frame.place, pixels));
    }
}
