//! What the fuzz targets of `fuzz/` enter by. No stable interface.

use imbed_core::options::Pooling;
use serde_json::Value;

use crate::{families, open_clip, weights};

/// Reads a safetensors file and all of its tensors.
pub fn safetensors(file: &[u8]) {
    weights::read_all(file, weights::Format::Safetensors);
}

/// Reads a file of `torch.save` and all of its tensors.
pub fn torch(file: &[u8]) {
    weights::read_all(file, weights::Format::Torch);
}

/// Reads a `config.json`, with every pooling, and an `open_clip_config.json`.
pub fn config(text: &[u8]) {
    let Ok(config) = serde_json::from_slice::<Value>(text) else { return };
    let describe = |config: &Value| {
        for pooling in [None, Some(Pooling::Cls), Some(Pooling::Mean), Some(Pooling::Pooler)] {
            for there in [false, true] {
                let _ = families::describe(config, &|_| there, pooling);
            }
        }
    };
    describe(&config);
    if let Ok(translated) = open_clip::translated(&config) {
        describe(&translated.config);
        let _ = imbed_core::preprocess::from_preprocessor_config(&translated.preprocessor);
    }
}
