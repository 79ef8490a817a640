//! A made-up model whose vectors can be worked out by hand, and which fails on demand.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use arrow_array::{Array, ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use imbed_core::{
    AsyncImageEmbedder, BlockingImageEmbedder, Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions,
    EncodedImage, Error, ErrorKind, Execution, ImageBatch, ImageEmbedderDescriptor, InputSpec, Preprocess,
    Requirements, Result,
    image::{DecodeOptions, EncodeFormat, Filter, Image, Mode, Samples, decode, encode},
    options::OptionMap,
    preprocess::{Normalize, Resize, ResizeTarget, Size},
};
use imbed_engine::{Chunk, Engine, EngineBuilder, FixedInventory, Images, Machine};

/// Every vector: red, green, blue of the image's first pixel, and a constant.
pub(crate) const WIDTH: usize = 4;

/// What the made-up model does wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Calls with more images than this run out of memory.
    pub(crate) rows_in_memory: Option<usize>,
    /// An image whose red is this makes the model panic.
    pub(crate) panics_on_red: Option<u8>,
    /// Every call fails.
    pub(crate) always_fails: bool,
    /// Every call fails as a request that was refused.
    pub(crate) refuses: bool,
    /// So many calls fail temporarily first.
    pub(crate) temporary_failures: AtomicUsize,
    /// A call of an asynchronous model with an image whose red is one of these fails temporarily, each time.
    pub(crate) no_answer: Option<fn(u8) -> bool>,
    /// An image whose red is this gets a vector of NaN.
    pub(crate) nan_on_red: Option<u8>,
    /// Time of each call.
    pub(crate) delay: Duration,
}

#[derive(Debug)]
pub(crate) struct FakeModel {
    pub(crate) options: EmbedOptions,
    pub(crate) faults: Arc<Faults>,
    pub(crate) is_async: bool,
    pub(crate) input: InputSpec,
    pub(crate) loads: Arc<Mutex<BTreeMap<Device, usize>>>,
    pub(crate) batches: Arc<Mutex<Vec<usize>>>,
}

impl FakeModel {
    pub(crate) fn new(options: &[(&'static str, &'static str)]) -> Self {
        Self {
            options: options.iter().copied().collect::<OptionMap>().read(&[]).unwrap(),
            faults: Arc::default(),
            is_async: false,
            input: InputSpec::Pixels(Preprocess {
                resize: Some(Resize {
                    target: ResizeTarget::Exact(Size { height: 4, width: 4 }),
                    filter: Filter::Bilinear,
                }),
                center_crop: None,
                normalize: Normalize { scale: 1.0, mean: [0.0; 3], std: [1.0; 3] },
            }),
            loads: Arc::default(),
            batches: Arc::default(),
        }
    }

    pub(crate) fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = Arc::new(faults);
        self
    }

    pub(crate) fn asynchronous(mut self) -> Self {
        self.is_async = true;
        self.input = InputSpec::Encoded { media_types: vec!["image/png".to_owned()] };
        self
    }

    pub(crate) fn builder(self) -> EngineBuilder {
        Engine::builder(Arc::new(self))
            .machine(Machine { cpus: 2.try_into().unwrap(), memory: Some(1 << 30) })
            .inventory(Arc::new(FixedInventory::default()))
    }

    pub(crate) fn engine(self) -> Engine {
        self.builder().build().unwrap()
    }
}

impl ImageEmbedderDescriptor for FakeModel {
    fn provider(&self) -> &'static str {
        "fake"
    }
    fn model(&self) -> &'static str {
        "fake/model"
    }
    fn options(&self) -> &EmbedOptions {
        &self.options
    }
    fn dimensions(&self) -> EmbeddingDimensions {
        EmbeddingDimensions::f32(self.options.dimensions.map_or(WIDTH, std::num::NonZeroUsize::get))
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn execution(&self) -> Execution {
        if self.is_async { Execution::Async } else { Execution::Blocking }
    }
    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: None, bytes_per_image: None, macs_per_image: None }
    }
    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: false,
            dimensions_override: true,
            deterministic: true,
            poolings: vec![],
            dtypes: vec![],
            devices: vec!["cuda".to_owned(), "cpu".to_owned()],
        }
    }
    fn weights_hash(&self) -> Result<Option<String>> {
        Ok(Some("blake3:00".to_owned()))
    }
    fn to_json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }
    fn instantiate(&self, device: Device) -> Result<Embedder> {
        *self.loads.lock().unwrap().entry(device).or_default() += 1;
        let loaded = Arc::new(Loaded { faults: Arc::clone(&self.faults), device, batches: Arc::clone(&self.batches) });
        Ok(if self.is_async { Embedder::Async(loaded) } else { Embedder::Blocking(loaded) })
    }
}

struct Loaded {
    faults: Arc<Faults>,
    device: Device,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Loaded {
    fn check(&self, rows: usize) -> Result<()> {
        self.batches.lock().unwrap().push(rows);
        let faults = &self.faults;
        if faults.rows_in_memory.is_some_and(|most| rows > most) {
            return Err(Error::new(ErrorKind::OutOfMemory, "no room"));
        }
        if faults.always_fails {
            return Err(Error::new(ErrorKind::Model, "nothing works"));
        }
        if faults.refuses {
            return Err(Error::new(ErrorKind::Request, "go away"));
        }
        if faults.temporary_failures.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Request, "come back later").temporary(true));
        }
        Ok(())
    }

    fn vector(&self, rgb: [u8; 3]) -> [f32; WIDTH] {
        assert_ne!(self.faults.panics_on_red, Some(rgb[0]), "poison");
        if self.faults.nan_on_red == Some(rgb[0]) {
            return [f32::NAN; WIDTH];
        }
        [f32::from(rgb[0]), f32::from(rgb[1]), f32::from(rgb[2]), 1.0]
    }
}

impl BlockingImageEmbedder for Loaded {
    fn width(&self) -> usize {
        WIDTH
    }
    fn device(&self) -> Device {
        self.device
    }
    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        std::thread::sleep(self.faults.delay);
        self.check(batch.len())?;
        let ImageBatch::Pixels(pixels) = batch else { panic!("pixels were asked for") };
        for (i, out) in out.chunks_mut(WIDTH).enumerate() {
            let image = pixels.image(i);
            out.copy_from_slice(&self.vector([image[0], image[1], image[2]]));
        }
        Ok(())
    }
}

#[async_trait]
impl AsyncImageEmbedder for Loaded {
    fn width(&self) -> usize {
        WIDTH
    }
    async fn embed(&self, images: Vec<EncodedImage>) -> Result<Vec<Result<Vec<f32>>>> {
        tokio::time::sleep(self.faults.delay).await;
        self.check(images.len())?;
        let rgb = |image: &EncodedImage| {
            let image = decode(&image.bytes, &DecodeOptions::default()).unwrap();
            let image = image.convert(Mode::Rgb, imbed_core::options::Alpha::Drop);
            <[u8; 3]>::try_from(&image.as_u8().unwrap()[..3]).unwrap()
        };
        let pixels: Vec<[u8; 3]> = images.iter().map(rgb).collect();
        if let Some(no_answer) = self.faults.no_answer
            && pixels.iter().any(|[red, ..]| no_answer(*red))
        {
            return Err(Error::new(ErrorKind::Request, "no answer in time").temporary(true));
        }
        Ok(pixels.into_iter().map(|rgb| Ok(self.vector(rgb).to_vec())).collect())
    }
}

/// One row of a test's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A PNG of one colour.
    Good([u8; 3]),
    /// No image.
    Null,
    /// Bytes that are no image.
    Bad,
}

pub(crate) fn png(rgb: [u8; 3]) -> Vec<u8> {
    let samples = Samples::U8(rgb.repeat(6 * 5));
    encode(&Image::new(Mode::Rgb, 6, 5, samples).unwrap(), EncodeFormat::Png).unwrap()
}

pub(crate) fn encoded(rows: &[Row]) -> ArrayRef {
    let bytes: Vec<Option<Vec<u8>>> = rows
        .iter()
        .map(|row| match row {
            Row::Good(rgb) => Some(png(*rgb)),
            Row::Null => None,
            Row::Bad => Some(b"not an image".to_vec()),
        })
        .collect();
    Arc::new(BinaryArray::from_iter(bytes))
}

/// A chunk whose carried column `id` counts from `first`.
pub(crate) fn chunk(rows: &[Row], first: i64) -> Chunk {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + rows.len() as i64));
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    let batch = RecordBatch::try_new(schema, vec![ids]).unwrap();
    Chunk { batch, images: Images::Encoded(encoded(rows)), labels: None, first_row: None }
}

/// `rows` in chunks of `size`.
pub(crate) fn chunks(rows: &[Row], size: usize) -> Vec<Result<Chunk>> {
    rows.chunks(size.max(1)).zip(0..).map(|(rows, i)| Ok(chunk(rows, i * size as i64))).collect()
}

/// What the fake model gives for `row`.
pub(crate) fn expected(row: Row) -> Option<[f32; WIDTH]> {
    match row {
        Row::Good([r, g, b]) => Some([f32::from(r), f32::from(g), f32::from(b), 1.0]),
        _ => None,
    }
}

/// The vectors of a column, row by row.
pub(crate) fn vectors(column: &FixedSizeListArray) -> Vec<Option<Vec<f32>>> {
    column
        .iter()
        .map(|row| row.map(|row| row.as_any().downcast_ref::<Float32Array>().unwrap().values().to_vec()))
        .collect()
}
