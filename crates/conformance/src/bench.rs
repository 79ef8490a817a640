//! What every behaviour works with: the provider, the configured model, the loaded model and engines around it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, BinaryArray, FixedSizeListArray, Float32Array};
use imbed_core::{
    Capability, Device, Embedder, EncodedImage, Error, ErrorKind, Execution, ImageBatch, ImageEmbedderDescriptor,
    InputSpec, PixelBatch, Preprocess, Provider, Registry, Result, Session,
    image::{EncodeFormat, Image, encode},
    options::{Alpha, OptionMap},
    preprocess::Size,
    session::Request,
};
use imbed_engine::Engine;
use tokio::runtime::Runtime;

use crate::{
    Subject,
    behaviour::{Check, ensure},
    compare::relative_error,
};

/// A subject, ready to be tested.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) subject: Subject,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) descriptor: Arc<dyn ImageEmbedderDescriptor>,
    pub(crate) capability: Capability,
    session: Session,
    /// The subject's model; loaded on first use and shared by the behaviours.
    loaded: Mutex<Option<Model>>,
    runtime: Arc<Runtime>,
}

/// A loaded model and what its descriptor wants of images.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) embedder: Embedder,
    pub(crate) input: InputSpec,
    alpha: Alpha,
    most_rows: usize,
    runtime: Arc<Runtime>,
}

/// Images as a model wants them.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    Pixels(PixelBatch),
    Encoded(Vec<EncodedImage>),
}

impl Bench {
    /// Describes the subject's model. Loads nothing.
    pub(crate) fn open(subject: Subject) -> Result<Self> {
        let session = Session::new(Registry::linked());
        let provider = Arc::clone(session.registry().get(&subject.provider)?);
        let descriptor = describe(&session, &subject, &subject.model, &subject.options, &[])?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| Error::io("cannot start a runtime for the suite", e))?;
        Ok(Self {
            capability: descriptor.capability(),
            subject,
            provider,
            descriptor,
            session,
            loaded: Mutex::new(None),
            runtime: Arc::new(runtime),
        })
    }

    /// Whether the model waits for somebody else.
    pub(crate) fn is_async(&self) -> bool {
        self.descriptor.execution() == Execution::Async
    }

    /// The subject's model with `options` over the subject's own.
    pub(crate) fn describe(&self, options: &[(&str, &str)]) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        self.describe_model(&self.subject.model, &self.subject.options, options)
    }

    /// Another model of the provider.
    pub(crate) fn describe_model(
        &self,
        model: &str,
        options: &OptionMap,
        over: &[(&str, &str)],
    ) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        describe(&self.session, &self.subject, model, options, over)
    }

    /// Makes a descriptor again from what it said of itself.
    pub(crate) fn registry(&self) -> &Registry {
        self.session.registry()
    }

    /// Loads `descriptor`'s model on the subject's device.
    pub(crate) fn load(&self, descriptor: &dyn ImageEmbedderDescriptor) -> Result<Model> {
        Model::load(descriptor, self.subject.device, Arc::clone(&self.runtime))
    }

    /// The subject's model, loaded once.
    pub(crate) fn model(&self) -> Result<Model> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.is_none() {
            *loaded = Some(self.load(self.descriptor.as_ref())?);
        }
        loaded.clone().ok_or_else(|| Error::new(ErrorKind::Internal, "a model that was loaded is not there"))
    }

    /// An engine for the subject's model with `options` over the subject's own. Every row reaches the model, identical or not.
    pub(crate) fn engine(&self, options: &[(&str, &str)]) -> Result<Engine> {
        let options = [&[("dedupe", "false")], options].concat();
        Engine::builder(self.describe(&options)?).build()
    }

    /// Whether two sets of vectors of the same images are as alike as the model claims: to the bit where it says that it
    /// is deterministic, within the subject's tolerance where not.
    pub(crate) fn agree(&self, got: &[Vec<f32>], wanted: &[Vec<f32>]) -> Check {
        ensure!(got.len() == wanted.len(), "{} vectors where {} were expected", got.len(), wanted.len());
        for (row, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            ensure!(got.len() == wanted.len(), "row {row} has {} numbers, not {}", got.len(), wanted.len());
            let error = relative_error(got, wanted);
            if self.capability.deterministic {
                let place = got.iter().zip(wanted).position(|(a, b)| a.to_bits() != b.to_bits());
                ensure!(
                    place.is_none(),
                    "row {row} is not the same to the bit, although the model claims to be deterministic: relative \
                     error {error:.1e}, first at number {}",
                    place.unwrap_or_default()
                );
            } else {
                let tolerance = self.subject.tolerance;
                ensure!(error <= tolerance, "row {row} has a relative error of {error:.1e}, over {tolerance:.1e}");
            }
        }
        Ok(())
    }
}

fn describe(
    session: &Session,
    subject: &Subject,
    model: &str,
    options: &OptionMap,
    over: &[(&str, &str)],
) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
    let mut all = OptionMap::default();
    // A service has no device to choose.
    if subject.device != Device::Cpu {
        all.set("device", &subject.device.to_string());
    }
    all.lay_over(options.clone());
    for (name, value) in over {
        all.set(*name, value);
    }
    let request = Request { provider: Some(subject.provider.clone()), model: Some(model.to_owned()), options: all };
    Ok(session.resolve(&request)?.descriptor)
}

impl Model {
    /// Loads `descriptor`'s model on `device`; requests wait on `runtime`.
    pub(crate) fn load(
        descriptor: &dyn ImageEmbedderDescriptor,
        device: Device,
        runtime: Arc<Runtime>,
    ) -> Result<Self> {
        Ok(Self {
            embedder: descriptor.instantiate(device)?,
            input: descriptor.input().clone(),
            alpha: descriptor.options().alpha,
            most_rows: descriptor.capability().max_batch_rows.unwrap_or(usize::MAX).max(1),
            runtime,
        })
    }

    /// The vectors of `images` in calls of at most `rows` images, and never more than the model takes.
    pub(crate) fn embed_in_batches(&self, images: &[Image], rows: usize) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(images.len());
        for batch in images.chunks(rows.min(self.most_rows).max(1)) {
            vectors.extend(self.call(&self.prepare(batch)?)?);
        }
        Ok(vectors)
    }

    /// The vectors of `images` in as few calls as the model allows.
    pub(crate) fn embed(&self, images: &[Image]) -> Result<Vec<Vec<f32>>> {
        self.embed_in_batches(images, usize::MAX)
    }

    /// Images as the model wants them.
    pub(crate) fn prepare(&self, images: &[Image]) -> Result<Prepared> {
        match &self.input {
            InputSpec::Pixels(preprocess) => pixels(preprocess, images, self.alpha).map(Prepared::Pixels),
            InputSpec::Encoded { media_types } => {
                let format = lossless(media_types);
                images.iter().map(|image| encoded(image, format)).collect::<Result<_>>().map(Prepared::Encoded)
            }
        }
    }

    /// The vectors of pixels that are prepared already.
    pub(crate) fn embed_pixels(&self, pixels: &PixelBatch) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(pixels.len());
        for start in (0..pixels.len()).step_by(self.most_rows) {
            let end = start.saturating_add(self.most_rows).min(pixels.len());
            vectors.extend(self.call(&Prepared::Pixels(pixels.slice(start..end)))?);
        }
        Ok(vectors)
    }

    /// One call of the model, whichever sort it is.
    pub(crate) fn call(&self, prepared: &Prepared) -> Result<Vec<Vec<f32>>> {
        let width = self.embedder.width();
        match &self.embedder {
            Embedder::Blocking(embedder) => {
                let batch = prepared.as_batch();
                // Not zeros: a row that is forgotten must not look like a vector.
                let mut out = vec![f32::NAN; batch.len() * width];
                embedder.embed(batch, &mut out)?;
                Ok(out.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
            }
            Embedder::Async(embedder) => {
                let rows = self.runtime.block_on(embedder.embed(prepared.encoded()?.to_vec()))?;
                rows.into_iter().collect()
            }
        }
    }
}

impl Prepared {
    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.as_batch().len()
    }

    fn as_batch(&self) -> ImageBatch<'_> {
        match self {
            Self::Pixels(pixels) => ImageBatch::Pixels(pixels),
            Self::Encoded(images) => ImageBatch::Encoded(images),
        }
    }

    /// The files, for a model that wants those.
    pub(crate) fn encoded(&self) -> Result<&[EncodedImage]> {
        match self {
            Self::Encoded(images) => Ok(images),
            Self::Pixels(_) => Err(Error::new(ErrorKind::Internal, "an asynchronous model asks for pixels")
                .hint("only encoded files can be sent: its descriptor's input must say so")),
        }
    }
}

fn pixels(preprocess: &Preprocess, images: &[Image], alpha: Alpha) -> Result<PixelBatch> {
    let mut batch = match preprocess.output_size() {
        Some(size) => PixelBatch::with_capacity(images.len(), size.height as usize, size.width as usize),
        None => PixelBatch::ragged(images.len()),
    };
    for image in images {
        let size = preprocess.output_size_for(Size { height: image.height(), width: image.width() });
        let mut data = vec![0; size.bytes() as usize];
        preprocess.run(image, alpha, &mut data)?;
        batch.push(&data, size.height as usize, size.width as usize);
    }
    Ok(batch)
}

/// The best format that a service takes.
fn lossless(media_types: &[String]) -> EncodeFormat {
    let formats = [EncodeFormat::Png, EncodeFormat::WebP, EncodeFormat::Tiff, EncodeFormat::Bmp];
    let taken = |format: &EncodeFormat| media_types.iter().any(|m| m == format.format().media_type());
    formats.into_iter().find(taken).unwrap_or(EncodeFormat::Jpeg { quality: 95 })
}

fn encoded(image: &Image, format: EncodeFormat) -> Result<EncodedImage> {
    Ok(EncodedImage { bytes: encode(image, format)?.into(), media_type: format.format().media_type() })
}

/// A column of encoded files.
pub(crate) fn column(files: &[Option<Vec<u8>>]) -> ArrayRef {
    Arc::new(files.iter().map(Option::as_deref).collect::<BinaryArray>())
}

/// The rows of an embedding column.
pub(crate) fn rows(column: &FixedSizeListArray) -> Vec<Option<Vec<f32>>> {
    let values = |row: ArrayRef| row.as_any().downcast_ref::<Float32Array>().map(|r| r.values().to_vec());
    column.iter().map(|row| row.and_then(values)).collect()
}
