//! One row: from its place in the input to what the model reads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use imbed_core::{
    EncodedImage, InputSpec, Preprocess, Result,
    arrow::{BytesColumn, ImageColumn, StringsColumn},
    image::{DecodeOptions, EncodeFormat, Mode, decode, encode, sniff},
    options::{Alpha, Decoding, OnError},
    preprocess::{Reduced, Size},
};

use crate::{
    copies::Claim,
    files::read,
    fingerprint::Fingerprint,
    input::Images,
    load::panicked,
    metrics::{Metrics, Stage},
    reuse::{Known, Reuse},
    rows::Job,
    steps::Steps,
};

/// A row that is ready for the model.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// `[height, width, 3]` bytes.
    Pixels { data: Vec<u8>, height: usize, width: usize },
    /// The file itself.
    Encoded(EncodedImage),
    /// Nothing: an earlier row has the same image.
    Copy,
    /// Nothing: this is the vector.
    Vector(Arc<[f32]>),
}

/// What the preparing stage does to every row.
#[derive(Debug)]
pub(crate) struct Preparer {
    pub(crate) input: InputSpec,
    pub(crate) decode: DecodeOptions,
    pub(crate) alpha: Alpha,
    pub(crate) decoding: Decoding,
    pub(crate) reuse: Reuse,
}

/// An image's bytes, or the image itself where the input was decoded already.
enum Found<'a> {
    Bytes(std::borrow::Cow<'a, [u8]>),
    Image(Reduced),
}

impl Found<'_> {
    fn fingerprint(&self, steps: Option<Fingerprint>) -> Fingerprint {
        match self {
            Self::Bytes(bytes) => Fingerprint::of_file(steps, bytes),
            Self::Image(image) => Fingerprint::of_image(steps, &image.image),
        }
    }
}

impl Preparer {
    /// Prepares a row; `None` if it has no image. Panics inside a decoder become errors of the row. The claim is there whatever comes
    /// of it, where images are told apart and the row has one.
    pub(crate) fn prepare(&self, job: &Job, metrics: &Metrics) -> (Option<Claim>, Result<Option<Prepared>>) {
        let mut claim = None;
        let result = catch_unwind(AssertUnwindSafe(|| self.prepare_row(job, &mut claim, metrics)))
            .unwrap_or_else(|panic| Err(panicked("preparing an image", "imbed", &*panic)));
        (claim, result)
    }

    fn prepare_row(&self, job: &Job, claim: &mut Option<Claim>, metrics: &Metrics) -> Result<Option<Prepared>> {
        let (images, steps) = job.source.images.unchanged();
        let row = job.row;
        let fetched = job.fetched.as_ref().map(|fetched| &fetched.bytes);
        let mut found = self.find(images, row, fetched, metrics);
        if let Ok(Some(image)) = &found
            && self.reuse.is_on()
        {
            let fingerprint = metrics.time(Stage::Read, || image.fingerprint(job.source.steps));
            let (claimed, known) = self.reuse.claim(fingerprint, job.sequence);
            *claim = Some(claimed);
            match known {
                Known::Nothing => {}
                Known::Copy => return Ok(Some(Prepared::Copy)),
                Known::Vector(vector) => return Ok(Some(Prepared::Vector(vector))),
            }
        }
        if let Some(steps) = steps {
            // Whatever fails up to here is the steps' own.
            found = match found.and_then(|found| found.map(|found| self.change(steps, found, metrics)).transpose()) {
                Ok(image) => Ok(image.map(Found::Image)),
                Err(error) if steps.on_error == OnError::Raise => Err(error),
                Err(error) => {
                    if steps.on_error == OnError::Log {
                        tracing::warn!("row {row} of a batch: {}: {}", error.kind(), error.message());
                    }
                    Ok(None)
                }
            };
        }
        let Some(found) = found? else { return Ok(None) };
        match &self.input {
            InputSpec::Pixels(preprocess) => self.pixels(preprocess, found, metrics).map(Some),
            InputSpec::Encoded { media_types } => self.encoded(media_types, found, metrics).map(Some),
        }
    }

    /// The image of a row, where it was found: in the input, in a file, or in what was `fetched`.
    fn find<'a>(
        &self,
        images: &'a Images,
        row: usize,
        fetched: Option<&'a Result<Vec<u8>>>,
        metrics: &Metrics,
    ) -> Result<Option<Found<'a>>> {
        if let Some(fetched) = fetched {
            return fetched.as_ref().map(|bytes| Some(Found::Bytes(bytes.into()))).map_err(Clone::clone);
        }
        let bytes = |array: &'a arrow_array::ArrayRef| -> Result<Option<Found<'a>>> {
            let value = BytesColumn::try_new(array)?.get(row);
            value.map(|bytes| self.check_bytes(bytes.len() as u64).map(|()| Found::Bytes(bytes.into()))).transpose()
        };
        let path = |array: &'a arrow_array::ArrayRef| -> Result<Option<Found<'a>>> {
            let Some(path) = StringsColumn::try_new(array)?.get(row) else { return Ok(None) };
            let bytes = metrics.time(Stage::Read, || read(path, &self.decode.limits))?;
            metrics.add_bytes_read(bytes.len());
            Ok(Some(Found::Bytes(bytes.into())))
        };
        match images {
            Images::Encoded(array) => bytes(array),
            Images::Paths(array) => path(array),
            Images::BytesOrPaths { bytes: b, paths } => match bytes(b)? {
                Some(found) => Ok(Some(found)),
                None => path(paths),
            },
            Images::Decoded { array, field } => {
                Ok(ImageColumn::try_new(field, array)?.get(row)?.map(|image| Found::Image(image.into())))
            }
            Images::Changed { images, .. } => self.find(images, row, None, metrics),
        }
    }

    fn check_bytes(&self, bytes: u64) -> Result<()> {
        self.decode.limits.check_encoded(bytes)
    }

    /// The image of `found` after `steps`.
    fn change(&self, steps: &Steps, found: Found<'_>, metrics: &Metrics) -> Result<Reduced> {
        let Reduced { image, full } = match found {
            Found::Image(image) => image,
            Found::Bytes(bytes) => {
                metrics.time(Stage::Decode, || self.decoded(&bytes, &steps.decode, steps.keep_size()))?
            }
        };
        let image = metrics.time(Stage::Preprocess, || steps.apply(image))?;
        Ok(if steps.keep_size() { Reduced { image, full } } else { image.into() })
    }

    /// Decodes a file, smaller if that `may` be, is asked for, and leaves the model's recipe enough.
    fn decoded(&self, bytes: &[u8], options: &DecodeOptions, may: bool) -> Result<Reduced> {
        match (&self.input, self.decoding) {
            (InputSpec::Pixels(recipe), Decoding::Fast) if may => recipe.decode_reduced(bytes, options),
            _ => decode(bytes, options).map(Reduced::from),
        }
    }

    fn pixels(&self, preprocess: &Preprocess, found: Found<'_>, metrics: &Metrics) -> Result<Prepared> {
        let image = match found {
            Found::Image(image) => image,
            Found::Bytes(bytes) => metrics.time(Stage::Decode, || self.decoded(&bytes, &self.decode, true))?,
        };
        let size = preprocess.output_size_for(image.full);
        // A thin picture may grow without end where a recipe keeps the proportion.
        self.decode.limits.check_memory(size.bytes()).map_err(|e| e.context("the picture as the model takes it"))?;
        let mut data = vec![0; size.bytes() as usize];
        metrics.time(Stage::Preprocess, || preprocess.run_reduced(&image, self.alpha, &mut data))?;
        image.image.recycle();
        Ok(Prepared::Pixels { data, height: size.height as usize, width: size.width as usize })
    }

    fn encoded(&self, media_types: &[String], found: Found<'_>, metrics: &Metrics) -> Result<Prepared> {
        let image = match found {
            Found::Image(whole) => whole.image,
            Found::Bytes(bytes) => {
                let media_type = sniff(&bytes).map(imbed_core::image::Format::media_type);
                if let Some(media_type) = media_type.filter(|m| media_types.iter().any(|t| t == m)) {
                    // Decoded all the same, as small as can be: a broken file must be this row's error here and not the whole
                    // request's there.
                    let smallest = DecodeOptions { at_least: Some(Size { height: 1, width: 1 }), ..self.decode };
                    metrics.time(Stage::Decode, || decode(&bytes, &smallest))?;
                    return Ok(Prepared::Encoded(EncodedImage { bytes: Arc::from(bytes.as_ref()), media_type }));
                }
                metrics.time(Stage::Decode, || decode(&bytes, &self.decode))?
            }
        };
        // As pixels are made: what the options say of transparency must not be left to whoever reads the file.
        let image = image.convert(Mode::Rgb, self.alpha);
        let bytes = metrics.time(Stage::Preprocess, || encode(&image, EncodeFormat::Png))?;
        Ok(Prepared::Encoded(EncodedImage { bytes: Arc::from(bytes), media_type: "image/png" }))
    }
}
