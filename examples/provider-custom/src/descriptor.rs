//! The configured model: everything that is known without computing.

use std::sync::Arc;

use imbed_core::{
    Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind, ImageEmbedderDescriptor,
    InputSpec, Preprocess, Requirements, Result,
    image::Filter,
    options::Dtype,
    preprocess::{Normalize, Resize, ResizeTarget, Size},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    MODEL, NAME,
    embedder::{PerceptualEmbedder, SIDE, WIDTH},
};

/// The weight of edges where nobody says.
const SHAPE: f64 = 0.5;

#[derive(Debug)]
pub(crate) struct PerceptualDescriptor {
    options: EmbedOptions,
    shape: f64,
    input: InputSpec,
}

impl PerceptualDescriptor {
    /// Refuses what cannot be honoured, so that nobody learns of it after an hour.
    pub(crate) fn new(options: &EmbedOptions) -> Result<Self> {
        let refuse = |what: String, hint: &str| Err(Error::new(ErrorKind::BadOption, what).hint(hint));
        let shape = match options.extra.get("shape") {
            None => SHAPE,
            Some(value) => match value.as_f64() {
                Some(shape) if (0.0..=0.9).contains(&shape) => shape,
                _ => return refuse(format!("the option shape cannot be {value}"), "give a number from 0 to 0.9"),
            },
        };
        if let Some(name) = options.extra.keys().find(|name| *name != "shape") {
            return refuse(format!("the provider perceptual has no option '{name}'"), "its own option is shape");
        }
        if let Some(cut) = options.dimensions {
            return refuse(
                format!("dimensions {cut} cannot be had: every number of this vector counts the same"),
                "leave the option out",
            );
        }
        if let Some(size) = options.image_size {
            return refuse(
                format!("image_size {size} cannot be had: this model reads 32 x 32"),
                "leave the option out",
            );
        }
        if let Some(dtype) = options.dtype.filter(|dtype| *dtype != Dtype::F32) {
            return refuse(format!("dtype '{dtype}' cannot be computed"), "leave the option out, or say f32");
        }
        Ok(Self { options: options.clone(), shape, input: InputSpec::Pixels(preprocess()) })
    }

    pub(crate) fn restore(config: &Value) -> Result<Self> {
        let options = EmbedOptions::deserialize(&config["options"]).map_err(|e| {
            Error::new(ErrorKind::Config, format!("a perceptual descriptor cannot be restored: {e}"))
                .hint("both ends must run the same version")
        })?;
        Self::new(&options)
    }
}

/// Every image becomes 32 x 32 pixels, whatever its proportion was.
fn preprocess() -> Preprocess {
    let target = ResizeTarget::Exact(Size { height: SIDE as u32, width: SIDE as u32 });
    Preprocess {
        resize: Some(Resize { target, filter: Filter::Bilinear }),
        center_crop: None,
        normalize: Normalize { scale: 1.0 / 255.0, mean: [0.0; 3], std: [1.0; 3] },
    }
}

impl ImageEmbedderDescriptor for PerceptualDescriptor {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> &'static str {
        MODEL
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
        Requirements { weights_bytes: Some(0), bytes_per_image: Some(16 * 1024), macs_per_image: Some(40_000) }
    }

    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: true,
            dimensions_override: false,
            deterministic: true,
            poolings: vec![],
            dtypes: vec![Dtype::F32],
            devices: vec!["cpu".to_owned()],
        }
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        // There are no weights: the version of the code is what the vectors depend on.
        Ok(Some(format!("perceptual:{}", env!("CARGO_PKG_VERSION"))))
    }

    fn to_json(&self) -> Result<Value> {
        Ok(json!({ "options": self.options }))
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        if device != Device::Cpu {
            return Err(Error::new(
                ErrorKind::Device,
                format!("the provider perceptual cannot use the device {device}"),
            )
            .hint("it runs on the processor: use --device cpu"));
        }
        Ok(Embedder::Blocking(Arc::new(PerceptualEmbedder::new(self.shape))))
    }
}
