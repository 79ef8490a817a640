//! Vectors that somebody else computed for given pixels.

use std::path::Path;

use imbed_core::{
    Error, ErrorKind, PixelBatch, Result,
    image::{Image, Mode, Samples},
    options::{Dtype, OptionMap},
};
use safetensors::{SafeTensors, tensor};

/// Pixels, and the vectors that a reference implementation gives for them.
///
/// The pixels are what the reference's own preprocessing made, so that a model is judged by its arithmetic alone.
#[derive(Debug, Clone)]
pub struct Golden {
    pub(crate) family: String,
    pub(crate) model: String,
    pub(crate) options: OptionMap,
    pub(crate) pixels: PixelBatch,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) tolerance: f64,
    pub(crate) dtype: Dtype,
}

impl Golden {
    /// `vectors`, one for each image of `pixels`, which the model `model` must give.
    ///
    /// Providers that run the same weights say the same `family`, and are compared with each other by it.
    pub fn new(
        family: impl Into<String>,
        model: impl Into<String>,
        pixels: PixelBatch,
        vectors: Vec<Vec<f32>>,
    ) -> Result<Self> {
        let family = family.into();
        if pixels.is_empty() || pixels.len() != vectors.len() {
            let message = format!("{} golden vectors for {} images of {family}", vectors.len(), pixels.len());
            return Err(Error::new(ErrorKind::Dimensions, message));
        }
        Ok(Self {
            family,
            model: model.into(),
            options: OptionMap::default(),
            pixels,
            vectors,
            tolerance: 1e-4,
            dtype: Dtype::F32,
        })
    }

    /// The tensors `pixels` (u8, `[N, H, W, 3]`) and `embedding` (f32, `[N, D]`) of a safetensors file; or `pixels.0`, `pixels.1`, …
    /// (u8, `[H, W, 3]`) for a model that reads any proportion.
    pub fn safetensors(family: impl Into<String>, model: impl Into<String>, file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let bytes = std::fs::read(file).map_err(|e| Error::io(file.display(), e))?;
        let (pixels, vectors) = read(&bytes).map_err(|e| e.context(file.display()))?;
        Self::new(family, model, pixels, vectors)
    }

    /// Sets an option that the golden vectors were made with.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// How far the model's vectors may be from these, `‖a − b‖ / ‖b‖`. Default 1e-4.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The number type that the model computes in here. Default f32; others are held to the tolerance alone, and not to
    /// the other providers.
    #[must_use]
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// The images as such, for models that want encoded files.
    pub(crate) fn images(&self) -> Result<Vec<Image>> {
        (0..self.pixels.len())
            .map(|i| {
                let (height, width) = self.pixels.image_size(i);
                let samples = Samples::U8(self.pixels.image(i).to_vec());
                Image::new(Mode::Rgb, width as u32, height as u32, samples)
            })
            .collect()
    }

    /// Tells sets of images apart, so that only vectors of the same images are compared.
    pub(crate) fn images_hash(&self) -> String {
        blake3::hash(self.pixels.data()).to_hex()[..16].to_owned()
    }
}

fn read(bytes: &[u8]) -> Result<(PixelBatch, Vec<Vec<f32>>)> {
    let bad = |what: String| {
        Error::new(ErrorKind::BadInput, what)
            .hint("a golden file has `pixels`, u8 [N, H, W, 3], or `pixels.0` and so on, u8 [H, W, 3], and `embedding`, f32 [N, D]")
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("not a safetensors file: {e}")))?;
    let find = |name: &str, dtype: tensor::Dtype| {
        let found = file.tensor(name).map_err(|e| bad(e.to_string()))?;
        if found.dtype() == dtype { Ok(found) } else { Err(bad(format!("{name} is of type {:?}", found.dtype()))) }
    };
    let vectors = find("embedding", tensor::Dtype::F32)?;
    let &[_, dimensions] = vectors.shape() else {
        return Err(bad(format!("embedding is {:?}", vectors.shape())));
    };
    if dimensions == 0 {
        return Err(bad("embedding has no numbers".to_owned()));
    }
    let numbers: Vec<f32> = vectors.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let numbered = (0..file.len()).map(|i| format!("pixels.{i}"));
    let ragged: Vec<String> = numbered.take_while(|name| file.tensor(name).is_ok()).collect();
    let pixels = if ragged.is_empty() {
        let pixels = find("pixels", tensor::Dtype::U8)?;
        let wrong = || bad(format!("pixels are {:?}", pixels.shape()));
        let &[_, height, width, 3] = pixels.shape() else { return Err(wrong()) };
        PixelBatch::from_vec(pixels.data().to_vec(), height, width).ok_or_else(wrong)?
    } else {
        let mut batch = PixelBatch::ragged(ragged.len());
        for name in ragged {
            let pixels = find(&name, tensor::Dtype::U8)?;
            let &[height, width, 3] = pixels.shape() else {
                return Err(bad(format!("{name} is {:?}", pixels.shape())));
            };
            batch.push(pixels.data(), height, width);
        }
        batch
    };
    Ok((pixels, numbers.chunks_exact(dimensions).map(<[f32]>::to_vec).collect()))
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn file(pixels: &[usize], embedding: &[usize]) -> Vec<u8> {
        let bytes = |shape: &[usize], size: usize| vec![0; shape.iter().product::<usize>() * size];
        let (p, e) = (bytes(pixels, 1), bytes(embedding, 4));
        let views = [
            ("pixels", TensorView::new(tensor::Dtype::U8, pixels.to_vec(), &p).unwrap()),
            ("embedding", TensorView::new(tensor::Dtype::F32, embedding.to_vec(), &e).unwrap()),
        ];
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn a_file_gives_images_and_vectors() {
        let (pixels, vectors) = read(&file(&[2, 3, 4, 3], &[2, 5])).unwrap();
        assert_eq!((pixels.len(), pixels.size(), vectors.len(), vectors[1].len()), (2, Some((3, 4)), 2, 5));
        let golden = Golden::new("f", "m", pixels, vectors).unwrap();
        assert_eq!(golden.images().unwrap()[1].width(), 4);
    }

    #[test]
    fn a_file_may_hold_images_of_many_sizes() {
        let views = [("pixels.0", vec![2, 3, 3]), ("pixels.1", vec![4, 1, 3])].map(|(name, shape)| {
            let view = TensorView::new(tensor::Dtype::U8, shape.clone(), &[7; 18][..shape.iter().product()]);
            (name, view.unwrap())
        });
        let embedding = TensorView::new(tensor::Dtype::F32, vec![2, 2], &[0; 16]).unwrap();
        let bytes = safetensors::serialize(views.into_iter().chain([("embedding", embedding)]), None).unwrap();
        let (pixels, vectors) = read(&bytes).unwrap();
        assert_eq!((pixels.size(), pixels.image_size(1), vectors.len()), (None, (4, 1), 2));
    }

    #[test]
    fn a_file_of_another_shape_says_what_was_expected() {
        for bytes in [file(&[2, 3, 4, 1], &[2, 5]), file(&[2, 3, 4, 3], &[10]), b"nothing".to_vec()] {
            assert!(read(&bytes).unwrap_err().hint_text().unwrap().contains("[N, H, W, 3]"));
        }
        let (pixels, vectors) = read(&file(&[2, 3, 4, 3], &[1, 5])).unwrap();
        assert_eq!(Golden::new("f", "m", pixels, vectors).unwrap_err().kind(), ErrorKind::Dimensions);
    }
}
