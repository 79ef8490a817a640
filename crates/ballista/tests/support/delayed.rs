//! A provider whose calls take a known time and no processor: `delayed/20` sleeps 20 ms for each call, of at most 8 images.

use std::{sync::Arc, thread, time::Duration};

use imbed_core::{
    BlockingImageEmbedder, Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind,
    ImageBatch, ImageEmbedderDescriptor, InputSpec, ModelInfo, Provider, Requirements, Result,
};

imbed_core::register_provider!(default_priority = 0, || Arc::new(Delayed));

/// Images of one call at most.
pub(crate) const ROWS: usize = 8;

/// Numbers of a vector.
pub(crate) const WIDTH: usize = 4;

/// The vector of a file.
pub(crate) fn vector(bytes: &[u8]) -> [f32; WIDTH] {
    let mut vector = [0_u32; WIDTH];
    for (i, byte) in bytes.iter().enumerate() {
        vector[i % WIDTH] = vector[i % WIDTH].wrapping_mul(31).wrapping_add(u32::from(*byte));
    }
    vector.map(|n| (n >> 8) as f32)
}

#[derive(Debug)]
struct Delayed;

#[derive(Debug)]
struct Model {
    name: String,
    delay: Duration,
    options: EmbedOptions,
    input: InputSpec,
}

impl Provider for Delayed {
    fn name(&self) -> &'static str {
        "delayed"
    }
    fn summary(&self) -> &'static str {
        "takes its time"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn models(&self) -> Vec<ModelInfo> {
        Vec::new()
    }
    fn accepts(&self) -> &'static str {
        "delayed/MILLISECONDS"
    }
    fn default_model(&self) -> Option<&str> {
        Some("delayed/10")
    }
    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        let delay = model.strip_prefix("delayed/").and_then(|n| n.parse().ok());
        let delay = delay.ok_or_else(|| Error::new(ErrorKind::UnknownModel, format!("there is no model '{model}'")))?;
        Ok(Arc::new(Model {
            name: model.to_owned(),
            delay: Duration::from_millis(delay),
            options: options.clone(),
            input: InputSpec::Encoded { media_types: vec!["image/png".to_owned()] },
        }))
    }
    fn restore(&self, json: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        let broken = |e: serde_json::Error| Error::new(ErrorKind::Config, e.to_string());
        let (model, options): (String, EmbedOptions) = serde_json::from_value(json.clone()).map_err(broken)?;
        self.image_embedder(&model, &options)
    }
}

impl ImageEmbedderDescriptor for Model {
    fn provider(&self) -> &'static str {
        "delayed"
    }
    fn model(&self) -> &str {
        &self.name
    }
    fn options(&self) -> &EmbedOptions {
        &self.options
    }
    fn dimensions(&self) -> EmbeddingDimensions {
        EmbeddingDimensions::f32(WIDTH)
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: None, bytes_per_image: None, macs_per_image: None }
    }
    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: Some(ROWS),
            normalized: false,
            dimensions_override: false,
            deterministic: true,
            poolings: vec![],
            dtypes: vec![],
            devices: vec!["cpu".to_owned()],
        }
    }
    fn weights_hash(&self) -> Result<Option<String>> {
        Ok(None)
    }
    fn to_json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::json!([self.name, self.options]))
    }
    fn instantiate(&self, _: Device) -> Result<Embedder> {
        Ok(Embedder::Blocking(Arc::new(Loaded(self.delay))))
    }
}

struct Loaded(Duration);

impl BlockingImageEmbedder for Loaded {
    fn width(&self) -> usize {
        WIDTH
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        thread::sleep(self.0);
        let ImageBatch::Encoded(images) = batch else {
            return Err(Error::new(ErrorKind::BadInput, "files were asked for"));
        };
        for (image, out) in images.iter().zip(out.chunks_exact_mut(WIDTH)) {
            out.copy_from_slice(&vector(&image.bytes));
        }
        Ok(())
    }
}
