//! What a caller may choose about an embedding, typed, with every name known.
//!
//! Options arrive from four places (arguments, a session, `imbed.toml`, the environment) as names and values. They are laid
//! over each other as an [`OptionMap`] first, and then read once into [`EmbedOptions`], so that a mistake is reported with
//! its name wherever it came from.

mod map;
mod own;
mod values;

use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Serialize};

pub use map::OptionMap;
pub use values::{Alpha, Decoding, Dtype, GpuCount, Icc, OnError, Pooling};

use crate::DeviceRequest;

/// The name of an option, what it takes and what it does: for error messages, `--help` and the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// The name, such as `batch_size`.
    pub name: &'static str,
    /// What may be given, such as `1, 2, 3, …`.
    pub values: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
}

/// How to embed. Every field has a default that suits most runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedOptions {
    /// Images per call of the model; `None` lets the plan choose.
    pub batch_size: Option<NonZeroUsize>,
    /// Further tries after a temporary failure.
    pub max_retries: u32,
    /// What a row that cannot be embedded does to the run.
    pub on_error: OnError,
    /// Model workers on the devices, or requests in flight; `None` lets the plan choose.
    pub concurrency: Option<NonZeroUsize>,
    /// GPUs per worker: whole, or a fraction of one to share it. `None`: one where the device is a GPU.
    pub num_gpus: Option<GpuCount>,
    /// Where the model runs.
    pub device: DeviceRequest,
    /// The number type of the model's arithmetic; `None` is the provider's default for the device.
    pub dtype: Option<Dtype>,
    /// Scale every vector to unit length; `None` leaves the vectors as the model gives them.
    pub normalize: Option<bool>,
    /// Keep this many leading numbers of each vector and scale it to unit length again (Matryoshka).
    pub dimensions: Option<NonZeroUsize>,
    /// How a model without a projection turns its tokens into one vector; `None` is the model's own way.
    pub pooling: Option<Pooling>,
    /// Embed at this height and width in pixels, for models that can read another size than their own; `None` is the
    /// model's own.
    pub image_size: Option<NonZeroU32>,
    /// What becomes of transparency.
    pub alpha: Alpha,
    /// Turn each image upright as its EXIF orientation says.
    pub exif_orientation: bool,
    /// What becomes of an embedded colour profile.
    pub icc: Icc,
    /// Which frame or page of an animation or document, from 0.
    pub frame: u32,
    /// Whether JPEGs may be decoded smaller than they are.
    pub decode: Decoding,
    /// Embed identical images of a run once.
    pub dedupe: bool,
    /// Options that only some providers know; see [`Provider::option_specs`](crate::Provider::option_specs).
    pub extra: std::collections::BTreeMap<String, serde_json::Value>,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            batch_size: None,
            max_retries: 3,
            on_error: OnError::Raise,
            concurrency: None,
            num_gpus: None,
            device: DeviceRequest::Auto,
            dtype: None,
            normalize: None,
            dimensions: None,
            pooling: None,
            image_size: None,
            alpha: Alpha::Drop,
            exif_orientation: true,
            icc: Icc::Ignore,
            frame: 0,
            decode: Decoding::Exact,
            dedupe: true,
            extra: std::collections::BTreeMap::new(),
        }
    }
}

/// Every option of [`EmbedOptions`], in the order in which the docs list them.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "batch_size",
        values: "1, 2, 3, …",
        summary: "images per call of the model (default: the plan chooses)",
    },
    OptionSpec {
        name: "max_retries",
        values: "0, 1, 2, …",
        summary: "further tries after a temporary failure (default 3)",
    },
    OptionSpec {
        name: "on_error",
        values: "raise | log | ignore",
        summary: "what a row that cannot be embedded does: stop the run, or become null (default raise)",
    },
    OptionSpec {
        name: "concurrency",
        values: "1, 2, 3, …",
        summary: "model workers, or requests in flight (default: the plan chooses)",
    },
    OptionSpec {
        name: "num_gpus",
        values: "1, 2, … or a fraction such as 0.5",
        summary: "GPUs per model worker (default: one, where the device is a GPU)",
    },
    OptionSpec {
        name: "device",
        values: "auto | cpu | cuda | cuda:N | metal | metal:N",
        summary: "where the model runs (default auto)",
    },
    OptionSpec {
        name: "dtype",
        values: "f32 | bf16 | f16 | int8 | auto",
        summary: "number type of the model's arithmetic (default: the provider's for the device)",
    },
    OptionSpec {
        name: "normalize",
        values: "true | false",
        summary: "scale every vector to unit length (default: as the model gives it)",
    },
    OptionSpec {
        name: "dimensions",
        values: "1, 2, 3, …",
        summary: "keep this many leading numbers, scaled to unit length again (Matryoshka)",
    },
    OptionSpec {
        name: "pooling",
        values: "cls | mean | pooler",
        summary: "how tokens become one vector, for models that leave it open (default: the model's own)",
    },
    OptionSpec {
        name: "image_size",
        values: "1, 2, 3, …",
        summary: "height and width in pixels that images are embedded at, for models that can (default: the model's own)",
    },
    OptionSpec {
        name: "alpha",
        values: "drop | white | black | #rrggbb",
        summary: "transparency: dropped as PIL's convert(\"RGB\") does, or laid on a colour (default drop)",
    },
    OptionSpec {
        name: "exif_orientation",
        values: "true | false",
        summary: "turn each image upright as its EXIF orientation says (default true)",
    },
    OptionSpec {
        name: "icc",
        values: "ignore | srgb",
        summary: "an embedded colour profile: ignored as PIL does, or colours converted to sRGB (default ignore)",
    },
    OptionSpec {
        name: "frame",
        values: "0, 1, 2, …",
        summary: "which frame of an animation or page of a document (default 0, the first)",
    },
    OptionSpec {
        name: "decode",
        values: "exact | fast",
        summary: "JPEGs larger than the model needs: whole as in PIL, or at 1/2, 1/4 or 1/8 (default exact)",
    },
    OptionSpec {
        name: "dedupe",
        values: "true | false",
        summary: "embed identical images of a run once (default true)",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_spec_and_every_spec_a_field() {
        let fields = serde_json::to_value(EmbedOptions::default()).unwrap();
        let mut fields: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        fields.retain(|f| *f != "extra");
        let mut specs: Vec<&str> = OPTIONS.iter().map(|o| o.name).collect();
        specs.sort_unstable();
        fields.sort_unstable();
        assert_eq!(fields, specs);
    }
}
