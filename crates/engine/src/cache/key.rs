//! What decides a vector beside its image.

use std::fmt::Write;

use imbed_core::{Device, Error, ErrorKind, Result, arrow::Provenance, image::DecodeOptions};
use serde_json::{Value, json};

/// Raised by whoever makes imbed give other vectors for the same image, model and options. The version is part of the key too, so this
/// is for those who build between versions.
const VECTORS: u32 = 1;

/// A hash of everything that decides a vector beside its image: provider, model, weights, options, recipe, how files are decoded,
/// the kind of device, and imbed itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    hash: [u8; 32],
    about: Value,
}

impl Key {
    /// Of vectors of `size` numbers, made as `provenance` says.
    pub(crate) fn new(
        provenance: &Provenance,
        size: usize,
        devices: &[Device],
        decode: &DecodeOptions,
    ) -> Result<Self> {
        let decode = serde_json::to_value(decode).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("how images are decoded cannot be written down: {e}")).source(e)
        })?;
        let kind = |device: &Device| device.to_string().split(':').next().unwrap_or_default().to_owned();
        let mut kinds: Vec<String> = devices.iter().map(kind).collect();
        kinds.dedup();
        let about = json!({
            "vectors": VECTORS,
            "version": provenance.version,
            "provider": provenance.provider,
            "model": provenance.model,
            "weights": provenance.weights,
            "normalized": provenance.normalized,
            "dimensions": size,
            "options": provenance.options,
            "recipe": provenance.recipe,
            "devices": kinds,
            "decode": decode,
        });
        let mut text = String::new();
        write(&mut text, &about);
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        Ok(Self { hash, about })
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The name of the folder with its vectors.
    pub(crate) fn name(&self) -> String {
        self.hash[..16].iter().fold(String::new(), |mut name, byte| {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
            name
        })
    }

    /// What it was made of.
    pub(crate) fn about(&self) -> &Value {
        &self.about
    }
}

/// `value` with the names of every object in order, whatever order they are kept in.
fn write(text: &mut String, value: &Value) {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(text, value);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for value in values {
                write(text, value);
                text.push(',');
            }
            text.push(']');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_decides_a_vector_is_in_the_key() {
        let made = Provenance { provider: "candle".into(), model: "clip".into(), ..Provenance::default() };
        let decode = DecodeOptions::default();
        let usual = Key::new(&made, 4, &[Device::Cpu], &decode).unwrap();
        assert_eq!(usual, Key::new(&made.clone(), 4, &[Device::Cpu, Device::Cpu], &decode).unwrap());
        let changes: [fn(&mut Provenance); 7] = [
            |p| p.provider = "torch".into(),
            |p| p.model = "siglip".into(),
            |p| p.weights = Some("blake3:00".into()),
            |p| p.normalized = true,
            |p| p.version = "9.9.9".into(),
            |p| _ = p.options.insert("dtype".into(), "bf16".into()),
            |p| _ = p.recipe.insert("input".into(), "other".into()),
        ];
        let mut keys = vec![usual];
        for change in changes {
            let mut made = made.clone();
            change(&mut made);
            keys.push(Key::new(&made, 4, &[Device::Cpu], &decode).unwrap());
        }
        keys.push(Key::new(&made, 5, &[Device::Cpu], &decode).unwrap());
        keys.push(Key::new(&made, 4, &[Device::Cuda(1)], &decode).unwrap());
        let truncated = DecodeOptions { allow_truncated: true, ..decode };
        keys.push(Key::new(&made, 4, &[Device::Cpu], &truncated).unwrap());
        for (i, key) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|other| other.hash != key.hash && other.name() != key.name()), "{i}");
        }
    }

    #[test]
    fn the_order_of_names_does_not_matter_and_values_do() {
        let text = |json: &str| {
            let mut text = String::new();
            write(&mut text, &serde_json::from_str(json).unwrap());
            text
        };
        assert_eq!(text(r#"{"b": [1, {"d": 2, "c": "x"}], "a": null}"#), text(r#"{"a":null,"b":[1,{"c":"x","d":2}]}"#));
        assert_ne!(text(r#"{"a": ["b", "c"]}"#), text(r#"{"a": ["b\",\"c"]}"#));
        assert_ne!(text(r#"{"a": [[1], 2]}"#), text(r#"{"a": [[1, 2]]}"#));
    }
}
