//! A made-up model that counts, and sessions with it.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type};
use datafusion::prelude::SessionContext;
use imbed_core::{
    BlockingImageEmbedder, Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind,
    ImageBatch, ImageEmbedderDescriptor, InputSpec, ModelInfo, Preprocess, Provider, Registry, Requirements, Result,
    Session,
    image::{EncodeFormat, Filter, Image, Mode, Samples, encode},
    preprocess::{Normalize, Resize, ResizeTarget, Size},
};
use imbed_datafusion::{ImageContext, Imbed};
use imbed_provider_candle as _;

/// What the made-up models of one test have been asked for.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) loads: AtomicUsize,
    pub(crate) images: AtomicUsize,
    pub(crate) batches: Mutex<Vec<usize>>,
}

/// A provider of models whose vector is the first pixel of each image and the model's number.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) name: &'static str,
    pub(crate) counts: Arc<Counts>,
}

impl Counting {
    /// A session with a provider of this name, which must be one test's own: loaded models are the process's.
    pub(crate) fn session(name: &'static str) -> (SessionContext, Arc<Counts>) {
        let counts = Arc::<Counts>::default();
        let provider = Arc::new(Self { name, counts: Arc::clone(&counts) });
        let mut session = Session::new(Registry::linked());
        session.attach(name, provider, imbed_core::options::OptionMap::default());
        (Imbed::new(session).context(), counts)
    }
}

impl Provider for Counting {
    fn name(&self) -> &str {
        self.name
    }
    fn summary(&self) -> &'static str {
        "counts"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn models(&self) -> Vec<ModelInfo> {
        Vec::new()
    }
    fn accepts(&self) -> &'static str {
        "any name"
    }
    fn default_model(&self) -> Option<&str> {
        Some("usual")
    }
    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        if model == "missing" {
            return Err(Error::new(ErrorKind::UnknownModel, "there is no model 'missing'").hint("name another"));
        }
        let recipe = Preprocess {
            resize: Some(Resize { target: ResizeTarget::Exact(Size { height: 4, width: 4 }), filter: Filter::Nearest }),
            center_crop: None,
            normalize: Normalize { scale: 1.0, mean: [0.0; 3], std: [1.0; 3] },
        };
        Ok(Arc::new(CountingModel {
            provider: self.name,
            model: model.to_owned(),
            options: options.clone(),
            input: InputSpec::Pixels(recipe),
            counts: Arc::clone(&self.counts),
        }))
    }
    fn restore(&self, _: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Err(Error::new(ErrorKind::Internal, "not in these tests"))
    }
}

#[derive(Debug)]
struct CountingModel {
    provider: &'static str,
    model: String,
    options: EmbedOptions,
    input: InputSpec,
    counts: Arc<Counts>,
}

impl ImageEmbedderDescriptor for CountingModel {
    fn provider(&self) -> &str {
        self.provider
    }
    fn model(&self) -> &str {
        &self.model
    }
    fn options(&self) -> &EmbedOptions {
        &self.options
    }
    fn dimensions(&self) -> EmbeddingDimensions {
        EmbeddingDimensions::f32(4)
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: None, bytes_per_image: None, macs_per_image: None }
    }
    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: false,
            dimensions_override: false,
            deterministic: true,
            poolings: vec![],
            dtypes: vec![],
            devices: vec!["cpu".to_owned()],
        }
    }
    fn weights_hash(&self) -> Result<Option<String>> {
        Err(Error::new(ErrorKind::Internal, "the weights were read"))
    }
    fn to_json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::json!({ "model": self.model, "options": self.options }))
    }
    fn instantiate(&self, _: Device) -> Result<Embedder> {
        self.counts.loads.fetch_add(1, SeqCst);
        if self.model == "broken" {
            return Err(Error::new(ErrorKind::Model, "the weights are damaged").hint("fetch them again"));
        }
        Ok(Embedder::Blocking(Arc::new(Loaded(Arc::clone(&self.counts), self.model.len() as f32))))
    }
}

#[derive(Debug)]
struct Loaded(Arc<Counts>, f32);

impl BlockingImageEmbedder for Loaded {
    fn width(&self) -> usize {
        4
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        let ImageBatch::Pixels(pixels) = batch else { panic!("pixels were asked for") };
        self.0.images.fetch_add(pixels.len(), SeqCst);
        self.0.batches.lock().unwrap().push(pixels.len());
        for (i, out) in out.chunks_exact_mut(4).enumerate() {
            let pixel = &pixels.image(i)[..3];
            out.copy_from_slice(&[pixel[0].into(), pixel[1].into(), pixel[2].into(), self.1]);
        }
        Ok(())
    }
}

/// A session over the built-in model alone.
pub(crate) fn tiny() -> SessionContext {
    Imbed::new(Session::new(Registry::linked())).context()
}

/// The rows of a query, which must succeed.
pub(crate) async fn rows(context: &SessionContext, query: &str) -> RecordBatch {
    let table = context.image_sql(query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
    let schema = Arc::clone(table.schema().inner());
    let batches = table.collect().await.unwrap_or_else(|e| panic!("{query}: {e}"));
    arrow_select::concat::concat_batches(batches.first().map_or(&schema, |b| b.schema_ref()), &batches).unwrap()
}

/// The error of a query, planned or run.
pub(crate) async fn error(context: &SessionContext, query: &str) -> Error {
    match context.image_sql(query).await {
        Err(error) => imbed_datafusion::cause(&error),
        Ok(table) => match table.collect().await {
            Err(error) => imbed_datafusion::cause(&error),
            Ok(_) => panic!("{query}: no error"),
        },
    }
}

/// The plan of a query as text.
pub(crate) async fn explain(context: &SessionContext, query: &str) -> String {
    let batch = rows(context, &format!("EXPLAIN FORMAT INDENT {query}")).await;
    let plans = batch.column(1).as_string::<i32>();
    plans.iter().flatten().collect::<Vec<_>>().join("\n")
}

/// The vectors of a column.
pub(crate) fn vectors(column: &dyn Array) -> Vec<Option<Vec<f32>>> {
    let lists = column.as_fixed_size_list();
    lists.iter().map(|row| row.map(|row| row.as_primitive::<Float32Type>().values().to_vec())).collect()
}

/// The texts of a column.
pub(crate) fn texts(column: &dyn Array) -> Vec<Option<String>> {
    column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// An image of one colour, and its vector of the made-up model `usual`.
pub(crate) fn colour(i: usize) -> [u8; 3] {
    [(i * 37 % 256) as u8, (i * 91 % 256) as u8, (i * 53 % 256) as u8]
}

pub(crate) fn vector(i: usize) -> Vec<f32> {
    colour(i).iter().map(|c| f32::from(*c)).chain([5.0]).collect()
}

pub(crate) fn png(i: usize) -> Vec<u8> {
    let image = Image::new(Mode::Rgb, 6, 5, Samples::U8(colour(i).repeat(30))).unwrap();
    encode(&image, EncodeFormat::Png).unwrap()
}

/// A folder with `n` images, `000.png` and so on.
pub(crate) fn folder(n: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..n {
        std::fs::write(folder.path().join(format!("{i:03}.png")), png(i)).unwrap();
    }
    folder
}

/// `path` as a query writes it.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// The project's example images.
pub(crate) fn examples() -> String {
    format!("'{}/../../examples/images'", env!("CARGO_MANIFEST_DIR"))
}
