//! What tells images apart: a hash of what they are made of.

use imbed_core::image::{Image, Samples};

use crate::steps::Steps;

/// BLAKE3 of an image's bytes, or of its pixels where it was decoded already, and of what is done to it first.
///
/// The whole 256 bits are kept and BLAKE3 is a cryptographic hash, so two images with one fingerprint are the same image: nobody
/// has found two others, and nobody can make them to have one picture's vector taken for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

/// Samples that are turned into bytes at once.
const AT_ONCE: usize = 4096;

impl Fingerprint {
    /// Of the images of one chunk: what is done to them all before the model's own preprocessing.
    pub(crate) fn of_steps(steps: Option<&Steps>) -> Option<Self> {
        // Its text has every field, also those that only decide what becomes of rows that fail.
        steps.map(|steps| Self(*blake3::hash(format!("{steps:?}").as_bytes()).as_bytes()))
    }

    /// Of an encoded file.
    pub(crate) fn of_file(steps: Option<Self>, bytes: &[u8]) -> Self {
        let mut hasher = hasher(b'f', steps);
        hasher.update(bytes);
        Self(*hasher.finalize().as_bytes())
    }

    /// Of a decoded image.
    pub(crate) fn of_image(steps: Option<Self>, image: &Image) -> Self {
        let mut hasher = hasher(b'i', steps);
        hasher.update(format!("{} {} {}\n", image.mode(), image.width(), image.height()).as_bytes());
        match image.samples() {
            Samples::U8(samples) => {
                hasher.update(samples);
            }
            Samples::U16(samples) => update(&mut hasher, samples, u16::to_le_bytes),
            Samples::F32(samples) => update(&mut hasher, samples, f32::to_le_bytes),
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn made_of(n: u64) -> Self {
        Self(*blake3::hash(&n.to_le_bytes()).as_bytes())
    }
}

fn hasher(kind: u8, steps: Option<Fingerprint>) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind, u8::from(steps.is_some())]);
    if let Some(steps) = steps {
        hasher.update(&steps.0);
    }
    hasher
}

fn update<T: Copy, const N: usize>(hasher: &mut blake3::Hasher, samples: &[T], bytes: impl Fn(T) -> [u8; N]) {
    let mut buffer = Vec::with_capacity(AT_ONCE * N);
    for samples in samples.chunks(AT_ONCE) {
        buffer.clear();
        buffer.extend(samples.iter().flat_map(|s| bytes(*s)));
        hasher.update(&buffer);
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::{
        image::{DecodeOptions, Mode},
        options::OnError,
    };

    use super::*;
    use crate::steps::Step;

    #[test]
    fn a_file_has_one_fingerprint_and_another_file_has_another() {
        let file = |bytes: &[u8]| Fingerprint::of_file(None, bytes);
        assert_eq!(file(b"cat"), file(b"cat"));
        assert_ne!(file(b"cat"), file(b"caT"));
        assert_ne!(file(b""), file(b"\0"));
    }

    #[test]
    fn pixels_count_with_their_shape_and_mode() {
        let image = |mode, width, height, samples| {
            Fingerprint::of_image(None, &Image::new(mode, width, height, samples).unwrap())
        };
        let wide = image(Mode::L, 6, 1, Samples::U8(vec![1; 6]));
        assert_eq!(wide, image(Mode::L, 6, 1, Samples::U8(vec![1; 6])));
        assert_ne!(wide, image(Mode::L, 1, 6, Samples::U8(vec![1; 6])));
        assert_ne!(wide, image(Mode::Rgb, 2, 1, Samples::U8(vec![1; 6])));
        assert_ne!(wide, image(Mode::L16, 6, 1, Samples::U16(vec![1; 6])));
        let long = |last| {
            let mut samples = vec![7; 3 * AT_ONCE + 1];
            samples[3 * AT_ONCE] = last;
            image(Mode::L16, 1, 3 * AT_ONCE as u32 + 1, Samples::U16(samples))
        };
        assert_ne!(long(1), long(2));
    }

    #[test]
    fn what_is_done_to_an_image_first_makes_it_another() {
        let steps = |then| Steps { decode: DecodeOptions::default(), then, on_error: OnError::Raise };
        let grey = Step::Convert { mode: Mode::L, alpha: imbed_core::options::Alpha::Drop };
        let (none, grey) = (steps(vec![]), steps(vec![grey]));
        let file = |steps| Fingerprint::of_file(Fingerprint::of_steps(steps), b"cat");
        assert_eq!(file(Some(&grey)), file(Some(&grey)));
        assert_ne!(file(Some(&grey)), file(Some(&none)));
        assert_ne!(file(None), file(Some(&none)));
    }
}
