//! The batch of pixels that a model reads.

/// `N` images of one size, ready for a model but for its arithmetic normalisation.
///
/// Layout: `u8`, `[N, H, W, 3]`, row-major, RGB. Bytes and not floats, because a quarter of the memory moves between the
/// stages, and because a model can fold the normalisation into its first weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelBatch {
    data: Vec<u8>,
    len: usize,
    height: usize,
    width: usize,
}

impl PixelBatch {
    /// Channels of every image: red, green, blue.
    pub const CHANNELS: usize = 3;

    /// An empty batch for images of `height` x `width`, with room for `capacity` of them.
    pub fn with_capacity(capacity: usize, height: usize, width: usize) -> Self {
        Self { data: Vec::with_capacity(capacity * height * width * Self::CHANNELS), len: 0, height, width }
    }

    /// A batch over `data`, or `None` if its length is not a whole number of images.
    pub fn from_vec(data: Vec<u8>, height: usize, width: usize) -> Option<Self> {
        let image = height * width * Self::CHANNELS;
        let len = data.len().checked_div(image)?;
        (len * image == data.len()).then_some(Self { data, len, height, width })
    }

    /// Appends one image of `height * width * 3` bytes.
    ///
    /// # Panics
    /// If `image` has another length: the sizes are the caller's own.
    pub fn push(&mut self, image: &[u8]) {
        assert_eq!(image.len(), self.image_len(), "an image of another size than the batch's");
        self.data.extend_from_slice(image);
        self.len += 1;
    }

    /// Number of images, `N`.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Rows of every image, `H`.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of every image, `W`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All samples, `[N, H, W, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The samples of image `i`, `[H, W, 3]`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.data[i * self.image_len()..][..self.image_len()]
    }

    /// The images `range` as a batch of their own.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let data = self.data[range.start * self.image_len()..range.end * self.image_len()].to_vec();
        Self { data, len: range.len(), ..*self }
    }

    fn image_len(&self) -> usize {
        self.height * self.width * Self::CHANNELS
    }
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
    }

    #[test]
    fn a_part_of_an_image_is_refused() {
        assert!(PixelBatch::from_vec(vec![0; 13], 2, 2).is_none());
        assert!(PixelBatch::from_vec(vec![], 0, 0).is_none());
    }
}
