//! `OpenEXR` files of every compression, as the crate `exr` writes them.

use std::io::Cursor;

use exr::{image::write::channels::WritableChannels, prelude::*};

/// How a file stores its pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) compression: Compression,
    /// The side of square tiles; `None` for lines.
    pub(crate) tile: Option<usize>,
    /// Red as half floats and blue as whole numbers; otherwise all are 32-bit floats.
    pub(crate) mixed: bool,
    pub(crate) alpha: bool,
}

impl Stored {
    /// Every compression, as lines and as tiles, of both kinds of samples, with alpha and without.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use Compression::{B44, B44A, DWAA, DWAB, PIZ, PXR24, RLE, Uncompressed, ZIP1, ZIP16};
        let compressions = [Uncompressed, RLE, ZIP1, ZIP16, PIZ, PXR24, B44, B44A, DWAA(None), DWAB(None)];
        compressions.into_iter().flat_map(|compression| {
            [(None, false, true), (None, true, false), (Some(64), false, false), (Some(64), true, true)]
                .map(|(tile, mixed, alpha)| Self { compression, tile, mixed, alpha })
        })
    }

    /// A file of one layer of `size`, of which a window of `shown` is the picture. The layer begins at `start` in it.
    ///
    /// `None` if the crate does not write that.
    pub(crate) fn file(self, size: (usize, usize), start: (i32, i32), shown: (usize, usize)) -> Option<Vec<u8>> {
        let encoding = Encoding {
            compression: self.compression,
            blocks: self.tile.map_or(Blocks::ScanLines, |side| Blocks::Tiles(Vec2(side, side))),
            line_order: LineOrder::Increasing,
        };
        let wave = |Vec2(x, y): Vec2<usize>, by: usize| ((x * by + y * 7) % 91) as f32 / 91.0;
        let floats = move |at| (wave(at, 3), wave(at, 5), wave(at, 11), wave(at, 13));
        match (self.mixed, self.alpha) {
            (false, true) => written(size, start, shown, encoding, SpecificChannels::rgba(floats)),
            (false, false) => {
                let colours = move |at| (floats(at).0, floats(at).1, floats(at).2);
                written(size, start, shown, encoding, SpecificChannels::rgb(colours))
            }
            (true, true) => {
                let half = move |at| (f16::from_f32(floats(at).0), floats(at).1, floats(at).2, f16::from_f32(0.5));
                written(size, start, shown, encoding, SpecificChannels::rgba(half))
            }
            (true, false) => {
                let whole = move |at| (f16::from_f32(floats(at).0), floats(at).1, at.0 as u32 % 2);
                written(size, start, shown, encoding, SpecificChannels::rgb(whole))
            }
        }
    }
}

fn written<C>(
    size: (usize, usize),
    start: (i32, i32),
    shown: (usize, usize),
    encoding: Encoding,
    channels: C,
) -> Option<Vec<u8>>
where
    for<'s> C: WritableChannels<'s>,
{
    let attributes = LayerAttributes { layer_position: Vec2(start.0 - 5, start.1 + 9), ..LayerAttributes::named("x") };
    let mut image = exr::prelude::Image::from_layer(Layer::new(size, attributes, encoding, channels));
    image.attributes.display_window = IntegerBounds::new((-5, 9), shown);
    let mut file = Cursor::new(Vec::new());
    image.write().non_parallel().to_buffered(&mut file).ok()?;
    Some(file.into_inner())
}
