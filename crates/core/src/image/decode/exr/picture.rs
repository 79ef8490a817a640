//! The picture: what the display window shows of a layer's blocks. Where there are none, it is 0.

use exr::{
    block::UncompressedBlock,
    math::Vec2,
    meta::{attribute::SampleType, header::Header},
    prelude::f16,
};

use crate::{
    Result,
    image::{Format, Image, Mode, Samples, decode::failure, decode::task::Task},
};

/// The colours in the order in which they are wanted; a layer may lack the last.
const COLOURS: [&[u8]; 4] = [b"R", b"G", b"B", b"A"];

pub(super) struct Picture {
    mode: Mode,
    width: usize,
    height: usize,
    samples: Vec<f32>,
    /// Where the layer begins in the picture.
    start: Vec2<i64>,
    channels: Vec<Channel>,
    /// Of all channels, those that are not shown among them.
    bytes_per_pixel: usize,
}

/// A colour in the blocks: in each line all samples of one channel come before those of the next.
struct Channel {
    kind: SampleType,
    /// Bytes of a pixel that come before.
    before: usize,
}

impl Picture {
    /// The first of `layers` that has colours, by its number, after its picture has been held against the limits.
    pub(super) fn find(layers: &[Header], task: &Task) -> Result<(usize, Self)> {
        let found = layers.iter().enumerate().find_map(|(number, layer)| Some((number, layer, channels(layer)?)));
        let Some((number, layer, channels)) = found else {
            return Err(failure::unsupported(Format::Exr, "none of its layers has channels called R, G and B"));
        };
        let shown = layer.shared_attributes.display_window;
        let mode = if channels.len() == COLOURS.len() { Mode::Rgba32F } else { Mode::Rgb32F };
        let Vec2(width, height) = shown.size;
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        task.check_picture(side(width), side(height), mode, mode.bytes_per_pixel() as u64)?;
        let start = |layer: i32, picture: i32| i64::from(layer) - i64::from(picture);
        let Vec2(x, y) = layer.own_attributes.layer_position;
        let picture = Self {
            mode,
            width,
            height,
            samples: vec![0.0; width * height * mode.channels()],
            start: Vec2(start(x, shown.position.0), start(y, shown.position.1)),
            channels,
            bytes_per_pixel: layer.channels.bytes_per_pixel,
        };
        Ok((number, picture))
    }

    /// Takes what is shown of `block`.
    pub(super) fn lay(&mut self, block: &UncompressedBlock) {
        let (across, line) = (block.index.pixel_size.0, block.index.pixel_size.0 * self.bytes_per_pixel);
        if line == 0 {
            return;
        }
        let x = self.start.0 + block.index.pixel_position.0 as i64;
        let y = self.start.1 + block.index.pixel_position.1 as i64;
        // The columns of the block that are shown.
        let first = usize::try_from(-x).unwrap_or(0).min(across);
        let last = usize::try_from(self.width as i64 - x).unwrap_or(0).clamp(first, across);
        let colours = self.channels.len();
        for (number, line) in block.data.chunks_exact(line).enumerate() {
            let Ok(row) = usize::try_from(y + number as i64) else { continue };
            if row >= self.height || first == last {
                continue;
            }
            let at = (row * self.width + (x + first as i64) as usize) * colours;
            let pixels = &mut self.samples[at..at + (last - first) * colours];
            for (colour, channel) in self.channels.iter().enumerate() {
                let size = channel.kind.bytes_per_sample();
                let stored = &line[channel.before * across..][first * size..last * size];
                let targets = pixels[colour..].iter_mut().step_by(colours);
                match channel.kind {
                    SampleType::F16 => fill(targets, stored, |bytes| f16::from_ne_bytes(bytes).to_f32()),
                    SampleType::F32 => fill(targets, stored, f32::from_ne_bytes),
                    SampleType::U32 => fill(targets, stored, |bytes| u32::from_ne_bytes(bytes) as f32),
                }
            }
        }
    }

    pub(super) fn into_image(self) -> Result<Image> {
        Image::new(self.mode, self.width as u32, self.height as u32, Samples::F32(self.samples))
    }
}

fn fill<'a, const N: usize>(targets: impl Iterator<Item = &'a mut f32>, stored: &[u8], value: impl Fn([u8; N]) -> f32) {
    for (target, sample) in targets.zip(stored.as_chunks::<N>().0) {
        *target = value(*sample);
    }
}

/// Where the colours of `layer` are; `None` unless it has red, green and blue.
fn channels(layer: &Header) -> Option<Vec<Channel>> {
    let find = |name: &&[u8]| {
        let mut channels = layer.channels.channels_with_byte_offset();
        let (before, channel) = channels.find(|(_, channel)| channel.name.as_slice() == *name)?;
        Some(Channel { kind: channel.sample_type, before })
    };
    let found: Vec<_> = COLOURS.iter().map_while(find).collect();
    (!layer.deep && found.len() >= 3).then_some(found)
}
