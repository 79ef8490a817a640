//! Everything but the model: files found, read, decoded, resized and cropped by the engine's own workers.

use std::{sync::Arc, time::Instant};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use imbed::{
    core::{
        BlockingImageEmbedder, Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, ImageBatch,
        ImageEmbedderDescriptor, InputSpec, Requirements, Result,
    },
    engine::{Chunk, Engine, Images, files},
};
use serde_json::{Value, json};

use super::wrong;

/// Rows that the engine is given at once.
const ROWS: usize = 256;

/// Images per second of every pass over the photos for at least `seconds`; the first, which also fills the file cache,
/// is not counted.
pub(crate) fn measure(descriptor: Arc<dyn ImageEmbedderDescriptor>, photos: &str, seconds: f64) -> Result<Value> {
    let paths: Vec<String> = files::images(photos)?.collect::<Result<_>>()?;
    if paths.is_empty() {
        return Err(wrong(format!("{photos} has no images")));
    }
    let engine = Engine::builder(Arc::new(Idle(descriptor))).build()?;
    pass(&engine, &paths)?;
    let mut speeds = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || speeds.len() < 3 {
        let begun = Instant::now();
        let rows = pass(&engine, &paths)?;
        speeds.push(rows as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(json!({ "images_per_second": speeds, "images": paths.len() }))
}

fn pass(engine: &Engine, paths: &[String]) -> Result<usize> {
    let chunks: Vec<Result<Chunk>> = paths.chunks(ROWS).map(chunk).collect();
    let mut rows = 0;
    for chunk in engine.embed_stream(chunks)? {
        rows += chunk?.embeddings.len();
    }
    Ok(rows)
}

fn chunk(paths: &[String]) -> Result<Chunk> {
    let options = RecordBatchOptions::new().with_row_count(Some(paths.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(arrow_schema::Schema::empty()), Vec::new(), &options)
        .map_err(|e| wrong(e.to_string()))?;
    let paths: ArrayRef = Arc::new(StringArray::from_iter_values(paths));
    Ok(Chunk { batch, images: Images::Paths(paths), labels: None, first_row: None })
}

/// A model in every respect but that it computes nothing.
#[derive(Debug)]
struct Idle(Arc<dyn ImageEmbedderDescriptor>);

impl ImageEmbedderDescriptor for Idle {
    fn provider(&self) -> &str {
        self.0.provider()
    }

    fn model(&self) -> &str {
        self.0.model()
    }

    fn options(&self) -> &EmbedOptions {
        self.0.options()
    }

    fn dimensions(&self) -> EmbeddingDimensions {
        self.0.dimensions()
    }

    fn input(&self) -> &InputSpec {
        self.0.input()
    }

    fn requirements(&self) -> Requirements {
        self.0.requirements()
    }

    fn capability(&self) -> Capability {
        self.0.capability()
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn to_json(&self) -> Result<Value> {
        self.0.to_json()
    }

    fn instantiate(&self, _: Device) -> Result<Embedder> {
        Ok(Embedder::Blocking(Arc::new(Nothing(self.0.dimensions().size))))
    }
}

struct Nothing(usize);

impl BlockingImageEmbedder for Nothing {
    fn width(&self) -> usize {
        self.0
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn embed(&self, _: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        out.fill(1.0);
        Ok(())
    }
}
