//! The batch of pixels that a model reads.

/// `N` images, ready for a model but for its arithmetic normalisation.
///
/// Layout: `u8`, `[H, W, 3]` per image, row-major, RGB, one image after the other; so `[N, H, W, 3]` where all have one
/// [`size`](Self::size), which is what most models want. A *ragged* batch holds images of sizes of their own, for models
/// that read any proportion. Bytes and not floats, because a quarter of the memory moves between the stages, and because a
/// model can fold the normalisation into its first weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelBatch {
    data: Vec<u8>,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// So many images of one height and width.
    Uniform { len: usize, size: (usize, usize) },
    /// Where each image starts in the data, and its height and width.
    Ragged(Vec<(usize, (usize, usize))>),
}

impl PixelBatch {
    /// Channels of every image: red, green, blue.
    pub const CHANNELS: usize = 3;

    /// An empty batch for images of `height` x `width`, with room for `capacity` of them.
    pub fn with_capacity(capacity: usize, height: usize, width: usize) -> Self {
        let data = Vec::with_capacity(capacity * bytes((height, width)));
        Self { data, shape: Shape::Uniform { len: 0, size: (height, width) } }
    }

    /// An empty batch for `capacity` images, each of a size of its own.
    pub fn ragged(capacity: usize) -> Self {
        Self { data: Vec::new(), shape: Shape::Ragged(Vec::with_capacity(capacity)) }
    }

    /// A batch over `data`, or `None` if its length is not a whole number of images.
    pub fn from_vec(data: Vec<u8>, height: usize, width: usize) -> Option<Self> {
        let image = bytes((height, width));
        let len = data.len().checked_div(image)?;
        (len * image == data.len()).then_some(Self { data, shape: Shape::Uniform { len, size: (height, width) } })
    }

    /// Appends one image of `height * width * 3` bytes.
    ///
    /// # Panics
    /// If `image` has another length, or another size than the images of a batch of one size: the sizes are the
    /// caller's own.
    pub fn push(&mut self, image: &[u8], height: usize, width: usize) {
        assert_eq!(image.len(), bytes((height, width)), "an image of another size than was said");
        match &mut self.shape {
            Shape::Uniform { len, size } => {
                assert_eq!(*size, (height, width), "an image of another size than the batch's");
                *len += 1;
            }
            Shape::Ragged(images) => images.push((self.data.len(), (height, width))),
        }
        self.data.extend_from_slice(image);
    }

    /// Number of images, `N`.
    pub fn len(&self) -> usize {
        match &self.shape {
            Shape::Uniform { len, .. } => *len,
            Shape::Ragged(images) => images.len(),
        }
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The height and width of every image; `None` for a ragged batch.
    pub fn size(&self) -> Option<(usize, usize)> {
        match &self.shape {
            Shape::Uniform { size, .. } => Some(*size),
            Shape::Ragged(_) => None,
        }
    }

    /// The height and width of image `i`.
    pub fn image_size(&self, i: usize) -> (usize, usize) {
        match &self.shape {
            Shape::Uniform { size, .. } => *size,
            Shape::Ragged(images) => images[i].1,
        }
    }

    /// All samples, image after image.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The samples of image `i`, `[H, W, 3]`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.data[self.start(i)..][..bytes(self.image_size(i))]
    }

    /// The images `range` as a batch of their own.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let (start, end) = (self.start(range.start), self.start(range.end));
        let shape = match &self.shape {
            Shape::Uniform { size, .. } => Shape::Uniform { len: range.len(), size: *size },
            Shape::Ragged(images) => {
                Shape::Ragged(images[range].iter().map(|(from, size)| (from - start, *size)).collect())
            }
        };
        Self { data: self.data[start..end].to_vec(), shape }
    }

    /// Where image `i` starts in the data; its end for the number of images.
    fn start(&self, i: usize) -> usize {
        match &self.shape {
            Shape::Uniform { size, .. } => i * bytes(*size),
            Shape::Ragged(images) => images.get(i).map_or(self.data.len(), |(start, _)| *start),
        }
    }
}

fn bytes((height, width): (usize, usize)) -> usize {
    height * width * PixelBatch::CHANNELS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_the_images_they_name() {
        let batch = PixelBatch::from_vec((0..36).collect(), 2, 2).unwrap();
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.slice(1..3).data(), &batch.data()[12..]);
        assert_eq!(batch.image(2)[0], 24);
        assert_eq!(batch.size(), Some((2, 2)));
    }

    #[test]
    fn a_ragged_batch_keeps_the_size_of_each_image() {
        let mut batch = PixelBatch::ragged(3);
        for (i, (height, width)) in [(1, 2), (3, 1), (2, 2)].into_iter().enumerate() {
            batch.push(&vec![i as u8; height * width * 3], height, width);
        }
        assert_eq!((batch.len(), batch.size()), (3, None));
        let last = batch.slice(1..3);
        assert_eq!((last.image_size(0), last.image_size(1)), ((3, 1), (2, 2)));
        assert_eq!((last.image(0), last.image(1)), (&[1; 9][..], &[2; 12][..]));
        assert!(batch.slice(3..3).is_empty());
    }

    #[test]
    #[should_panic(expected = "another size than the batch's")]
    fn a_batch_of_one_size_takes_no_other() {
        PixelBatch::with_capacity(1, 2, 2).push(&[0; 3], 1, 1);
    }

    #[test]
    fn a_part_of_an_image_is_refused() {
        assert!(PixelBatch::from_vec(vec![0; 13], 2, 2).is_none());
        assert!(PixelBatch::from_vec(vec![], 0, 0).is_none());
    }
}
