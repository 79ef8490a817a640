//! From the bytes of a batch to the tensor that a graph's input takes.

use half::f16;
use imbed_core::preprocess::Normalize;

use crate::{graph::Element, input::Layout};

/// What each byte becomes in each channel, red first.
#[derive(Debug)]
pub(crate) enum Tables {
    F32(Box<[[f32; 256]; 3]>),
    F16(Box<[[f16; 256]; 3]>),
    /// The byte itself.
    U8(Box<[[u8; 256]; 3]>),
}

impl Tables {
    /// For an input of this number type; `None` where it is none of the three.
    pub(crate) fn new(normalize: &Normalize, element: Element) -> Option<Self> {
        let tables = normalize.tables();
        match element {
            Element::F32 => Some(Self::F32(Box::new(tables))),
            Element::F16 => Some(Self::F16(Box::new(tables.map(|table| table.map(f16::from_f32))))),
            Element::U8 => Some(Self::U8(Box::new([std::array::from_fn(|byte| byte as u8); 3]))),
            _ => None,
        }
    }
}

/// Writes images of `pixels` pixels each, `[N, H, W, 3]` bytes, in this layout; `bgr` puts blue first. The tensor has room
/// for `room` images, and zeros where there is none.
pub(crate) fn lay_out<T: Copy + Default>(
    images: &[u8],
    pixels: usize,
    room: usize,
    layout: Layout,
    bgr: bool,
    tables: &[[T; 256]; 3],
) -> Vec<T> {
    let order = if bgr { [2, 1, 0] } else { [0, 1, 2] };
    let mut out = Vec::with_capacity(room * pixels * 3);
    match layout {
        Layout::Nhwc => {
            let pixels = images.as_chunks::<3>().0;
            out.extend(pixels.iter().flat_map(|pixel| order.map(|c| tables[c][usize::from(pixel[c])])));
        }
        Layout::Nchw => {
            for image in images.chunks_exact((pixels * 3).max(1)) {
                let image = image.as_chunks::<3>().0;
                for c in order {
                    let table = &tables[c];
                    out.extend(image.iter().map(|pixel| table[usize::from(pixel[c])]));
                }
            }
        }
    }
    out.resize(room * pixels * 3, T::default());
    out
}

#[cfg(test)]
mod tests {
    use imbed_core::PixelBatch;
    use proptest::prelude::*;

    use super::*;

    /// Powers of two, which every number type holds exactly.
    const NORMALIZE: Normalize = Normalize { scale: 1.0, mean: [1.0, 2.0, 4.0], std: [0.5, 0.25, 2.0] };

    #[test]
    fn channels_become_planes_or_stay_together_and_blue_may_come_first() {
        let images = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let Some(Tables::U8(tables)) = Tables::new(&Normalize::NONE, Element::U8) else { panic!() };
        let with = |layout, bgr| lay_out(&images, 2, 2, layout, bgr, &tables);
        assert_eq!(with(Layout::Nhwc, false), images);
        assert_eq!(with(Layout::Nchw, false), [1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]);
        assert_eq!(with(Layout::Nchw, true), [3, 6, 2, 5, 1, 4, 9, 12, 8, 11, 7, 10]);
        assert_eq!(with(Layout::Nhwc, true), [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
    }

    #[test]
    fn room_that_no_image_takes_is_zero() {
        let Some(Tables::U8(tables)) = Tables::new(&Normalize::NONE, Element::U8) else { panic!() };
        assert_eq!(lay_out(&[1, 2, 3], 1, 3, Layout::Nchw, false, &tables), [1, 2, 3, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn halves_are_the_rounded_singles() {
        let Some(Tables::F16(halves)) = Tables::new(&NORMALIZE, Element::F16) else { panic!() };
        assert_eq!(halves[1][7].to_f32(), (7.0 - 2.0) / 0.25);
        assert!(Tables::new(&NORMALIZE, Element::I64).is_none());
    }

    proptest! {
        #[test]
        fn planes_are_those_of_the_common_normalisation(
            (height, width, images) in (1_usize..5, 1_usize..5, 0_usize..4),
            seed in any::<u8>(),
        ) {
            let bytes: Vec<u8> = (0..height * width * images * 3).map(|i| (i * 37) as u8 ^ seed).collect();
            let batch = PixelBatch::from_vec(bytes.clone(), height, width).unwrap();
            let mut expected = vec![0.0; bytes.len()];
            NORMALIZE.apply(&batch, &mut expected);
            let Some(Tables::F32(tables)) = Tables::new(&NORMALIZE, Element::F32) else { panic!() };
            prop_assert_eq!(lay_out(&bytes, height * width, images, Layout::Nchw, false, &tables), expected);
        }
    }
}
