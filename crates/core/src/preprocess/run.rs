//! Running the recipe on one image.

use super::{Preprocess, Resize, Size, crop::Shown};
use crate::{
    Error, ErrorKind, Result,
    image::{Filter, Image, Window, resize_rgb},
    options::Alpha,
};

impl Preprocess {
    /// The size of every output, if the recipe gives all images one size; a model that wants batches needs that.
    pub fn output_size(&self) -> Option<Size> {
        self.center_crop.or_else(|| self.resize?.target.output_size())
    }

    /// Bytes of the largest output, `height * width * 3`; `None` if the recipe gives outputs of any size.
    pub fn max_output_bytes(&self) -> Option<u64> {
        self.center_crop.map(Size::bytes).or_else(|| self.resize?.target.max_output_bytes())
    }

    /// The size of the output for an image of size `from`.
    pub fn output_size_for(&self, from: Size) -> Size {
        self.center_crop.unwrap_or_else(|| self.resize.map_or(from, |resize| resize.target.size_for(from)))
    }

    /// Converts to RGB, resizes and crops `image` into `out`, `[height, width, 3]`.
    ///
    /// Only the part of the resized image that the crop keeps is computed, so that a picture of 1 x 65535 pixels costs no
    /// more memory than another; the bytes are those of the whole. An error of
    /// kind [`Dimensions`](ErrorKind::Dimensions) if `out` has not exactly the size of the output.
    pub fn run(&self, image: &Image, alpha: Alpha, out: &mut [u8]) -> Result<()> {
        let full = Size { height: image.height(), width: image.width() };
        self.run_covering(image, full, (full.width.into(), full.height.into()), alpha, out)
    }

    /// [`run`](Self::run) for a picture of size `from` of which `image` is a reduction. Of the columns and rows of that the
    /// picture covers `covers`.
    pub(super) fn run_covering(
        &self,
        image: &Image,
        from: Size,
        covers: (f64, f64),
        alpha: Alpha,
        out: &mut [u8],
    ) -> Result<()> {
        if from.height == 0 || from.width == 0 {
            return Err(Error::new(ErrorKind::Dimensions, "the image has no pixels"));
        }
        let size = self.output_size_for(from);
        if out.len() as u64 != size.bytes() {
            return Err(Error::new(
                ErrorKind::Dimensions,
                format!("{} x {} RGB pixels do not fit {} bytes", size.width, size.height, out.len()),
            ));
        }
        let rgb = image.to_rgb8(alpha);
        let (resized, cut, filter) = match self.resize {
            Some(Resize { target, filter }) => (target.resized(from), target.cut(), filter),
            None => (from, None, Filter::Nearest),
        };
        if resized.height == 0 || resized.width == 0 {
            return Err(Error::new(
                ErrorKind::Dimensions,
                format!(
                    "an image of {} x {} would become one of {} x {}",
                    from.width, from.height, resized.width, resized.height
                ),
            )
            .hint("the model's size keeps the proportion, which leaves nothing of so thin an image; leave it out"));
        }
        if size.bytes() == 0 {
            return Ok(());
        }
        let (mut across, mut down) = (Shown::whole(resized.width), Shown::whole(resized.height));
        for size in [cut, self.center_crop].into_iter().flatten() {
            across = across.center(size.width);
            down = down.center(size.height);
        }
        let window = Window { x: across.first, y: down.first, width: across.kept, height: down.kept };
        let (from, to) = ((image.width(), image.height()), (resized.width, resized.height));
        if (window.width, window.height) == (size.width, size.height) {
            resize_rgb(&rgb, from, covers, to, window, filter, out);
        } else {
            let mut kept = vec![0; window.width as usize * window.height as usize * 3];
            if !kept.is_empty() {
                resize_rgb(&rgb, from, covers, to, window, filter, &mut kept);
            }
            let (stride, left) = (size.width as usize * 3, across.before as usize * 3);
            let row = window.width as usize * 3;
            out.fill(0);
            let rows = out.chunks_exact_mut(stride).skip(down.before as usize);
            for (to, from) in rows.zip(kept.chunks_exact(row.max(1))) {
                to[left..left + row].copy_from_slice(from);
            }
        }
        Ok(())
    }
}

impl Size {
    /// Bytes of an RGB image of this size.
    pub fn bytes(self) -> u64 {
        u64::from(self.height) * u64::from(self.width) * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{Mode, Samples},
        preprocess::{Normalize, ResizeTarget},
    };

    fn recipe(target: Option<ResizeTarget>, crop: Option<(u32, u32)>) -> Preprocess {
        Preprocess {
            resize: target.map(|target| Resize { target, filter: Filter::Bicubic }),
            center_crop: crop.map(|(height, width)| Size { height, width }),
            normalize: Normalize::NONE,
        }
    }

    fn run(recipe: &Preprocess, image: &Image) -> Vec<u8> {
        let size = recipe.output_size_for(Size { height: image.height(), width: image.width() });
        let mut out = vec![77; size.bytes() as usize];
        recipe.run(image, Alpha::Drop, &mut out).unwrap();
        out
    }

    fn gradient(width: u32, height: u32) -> Image {
        let samples = (0..width * height * 3).map(|i| (i * 7) as u8).collect();
        Image::new(Mode::Rgb, width, height, Samples::U8(samples)).unwrap()
    }

    #[test]
    fn a_crop_computes_the_same_bytes_as_the_whole_image_cut_afterwards() {
        let image = gradient(50, 37);
        for edge in [20, 37, 60] {
            let target = ResizeTarget::ShortestEdge(edge);
            let size = target.size_for(Size { height: 37, width: 50 });
            let whole = image.resize(size.width, size.height, Filter::Bicubic).unwrap();
            let cut = whole.crop((size.width - 15) / 2, (size.height - 16) / 2, 15, 16).unwrap();
            assert_eq!(run(&recipe(Some(target), Some((16, 15))), &image), cut.as_u8().unwrap(), "{edge}");
        }
    }

    #[test]
    fn a_crop_larger_than_the_image_is_padded_with_black_the_larger_half_first() {
        let image = Image::new(Mode::L, 2, 1, Samples::U8(vec![1, 2])).unwrap();
        let out = run(&recipe(None, Some((2, 5))), &image);
        let reds: Vec<u8> = out.chunks(3).map(|p| p[0]).collect();
        assert_eq!(reds, [0, 0, 0, 0, 0, 0, 0, 1, 2, 0]);
    }

    #[test]
    fn a_crop_may_cut_one_side_and_pad_the_other() {
        let image = Image::new(Mode::L, 4, 1, Samples::U8(vec![1, 2, 3, 4])).unwrap();
        let out = run(&recipe(None, Some((3, 2))), &image);
        let reds: Vec<u8> = out.chunks(3).map(|p| p[0]).collect();
        assert_eq!(reds, [0, 0, 2, 3, 0, 0]);
    }

    #[test]
    fn a_buffer_of_another_size_is_an_error() {
        let error = recipe(None, Some((2, 2))).run(&gradient(4, 4), Alpha::Drop, &mut [0; 11]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dimensions);
    }

    #[test]
    fn only_a_crop_or_an_exact_size_fixes_the_output() {
        let exact = ResizeTarget::Exact(Size { height: 3, width: 4 });
        assert_eq!(recipe(Some(exact), None).output_size(), Some(Size { height: 3, width: 4 }));
        assert_eq!(recipe(Some(exact), Some((1, 2))).output_size(), Some(Size { height: 1, width: 2 }));
        assert_eq!(recipe(Some(ResizeTarget::ShortestEdge(3)), None).output_size(), None);
        assert_eq!(recipe(None, None).output_size(), None);
        assert_eq!(recipe(None, Some((1, 2))).output_size(), Some(Size { height: 1, width: 2 }));
    }
}
