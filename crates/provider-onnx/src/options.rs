//! The options that only this provider knows, typed.

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Component, Path},
};

use imbed_core::{
    EmbedOptions, Error, ErrorKind, Result,
    options::{Dtype, OptionSpec},
    preprocess::RecipeOptions,
};
use serde::{Deserialize, Serialize};

use crate::{execution::ExecutionProvider, files::OnnxFiles, input::Layout};

/// Every option of this provider, in the order in which the docs list them.
pub(crate) const SPECS: &[OptionSpec] = &[
    OptionSpec {
        name: "dtype",
        values: "f32 | f16 | q8 | int8 | uint8 | q4 | q4f16 | bnb4",
        summary: "which of a model's files: model.onnx, model_fp16.onnx, model_quantized.onnx, … (default f32)",
    },
    OptionSpec {
        name: "file",
        values: "a name such as visual/model.onnx",
        summary: "the .onnx file in a folder or on the hub, where its name is not one of those",
    },
    OptionSpec { name: "input", values: "a name", summary: "the graph's input that takes the image (default: found)" },
    OptionSpec {
        name: "output",
        values: "a name",
        summary: "the graph's output that is the embedding (default: image_embeds, pooler_output, last_hidden_state, \
                  or the only one)",
    },
    OptionSpec { name: "layout", values: "nchw | nhwc", summary: "the input's axes (default: read from the graph)" },
    OptionSpec { name: "channels", values: "rgb | bgr", summary: "the order of the input's channels (default rgb)" },
    OptionSpec {
        name: "embedding_width",
        values: "1, 2, 3, …",
        summary: "numbers per vector, where neither the graph nor config.json says it",
    },
    OptionSpec {
        name: "prefix_tokens",
        values: "0, 1, 2, …",
        summary: "tokens before those of the patches, which pooling=mean leaves out (default: as config.json says)",
    },
    RecipeOptions::SPECS[0],
    RecipeOptions::SPECS[1],
    RecipeOptions::SPECS[2],
    RecipeOptions::SPECS[3],
    RecipeOptions::SPECS[4],
    RecipeOptions::SPECS[5],
    OptionSpec {
        name: "execution_provider",
        values: "cpu | cuda | tensorrt | openvino | coreml | directml",
        summary: "what ONNX Runtime computes with; a missing one is an error (default: cpu, or cuda with device=cuda)",
    },
    OptionSpec {
        name: "execution_options",
        values: "KEY=VALUE,KEY=VALUE",
        summary: "the execution provider's own options, as ONNX Runtime documents them",
    },
    OptionSpec {
        name: "threads",
        values: "1, 2, 3, …",
        summary: "threads of one model call on the processor (default: one per core)",
    },
];

/// What [`SPECS`] lists, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OnnxOptions {
    pub(crate) files: OnnxFiles,
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) layout: Option<Layout>,
    pub(crate) bgr: bool,
    pub(crate) embedding_width: Option<usize>,
    pub(crate) prefix_tokens: Option<usize>,
    pub(crate) recipe: RecipeOptions,
    pub(crate) execution: Option<ExecutionProvider>,
    pub(crate) execution_options: Vec<(String, String)>,
    pub(crate) threads: Option<NonZeroUsize>,
}

/// One of the files that a model is published as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    F32,
    F16,
    Q8,
    Int8,
    Uint8,
    Q4,
    Q4F16,
    Bnb4,
}

impl Variant {
    /// Every variant.
    pub(crate) const ALL: [Self; 8] =
        [Self::F32, Self::F16, Self::Q8, Self::Int8, Self::Uint8, Self::Q4, Self::Q4F16, Self::Bnb4];

    /// What the file's name has before `.onnx`, as transformers.js publishes models.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::F16 => "_fp16",
            Self::Q8 => "_quantized",
            Self::Int8 => "_int8",
            Self::Uint8 => "_uint8",
            Self::Q4 => "_q4",
            Self::Q4F16 => "_q4f16",
            Self::Bnb4 => "_bnb4",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Q4 => "q4",
            Self::Q4F16 => "q4f16",
            Self::Bnb4 => "bnb4",
        })
    }
}

impl OnnxOptions {
    /// Reads this provider's part of `options`.
    pub(crate) fn read(options: &EmbedOptions) -> Result<Self> {
        let mut read = Self::default();
        read.files.variant = options.dtype.map(of_dtype).transpose()?;
        options.read_extra(crate::NAME, SPECS, |name, text| read.set(name, text))?;
        if let OnnxFiles { variant: Some(variant), file: Some(file) } = &read.files {
            let message = format!("the file '{file}' is named, and dtype '{variant}' chooses another");
            return Err(Error::new(ErrorKind::BadOption, message).hint("leave one of the two options away"));
        }
        Ok(read)
    }

    /// Sets the option `name`; `None` where `text` is nothing that it takes.
    fn set(&mut self, name: &str, text: &str) -> Option<()> {
        match name {
            "dtype" => self.files.variant = Some(variant(text)?),
            "file" => self.files.file = Some(file(text)?),
            "input" => self.input = Some(not_empty(text)?),
            "output" => self.output = Some(not_empty(text)?),
            "layout" => self.layout = Some(Layout::parse(text)?),
            "channels" => {
                self.bgr = match text {
                    "rgb" => false,
                    "bgr" => true,
                    _ => return None,
                }
            }
            "embedding_width" => self.embedding_width = Some(text.parse().ok().filter(|width| *width > 0)?),
            "prefix_tokens" => self.prefix_tokens = Some(text.parse().ok()?),
            "execution_provider" => self.execution = Some(ExecutionProvider::parse(text)?),
            "execution_options" => self.execution_options = pairs(text)?,
            "threads" => self.threads = Some(text.parse().ok()?),
            recipe => self.recipe.set(recipe, text)?,
        }
        Some(())
    }
}

fn of_dtype(dtype: Dtype) -> Result<Variant> {
    match dtype {
        Dtype::F32 => Ok(Variant::F32),
        Dtype::F16 => Ok(Variant::F16),
        Dtype::Int8 => Ok(Variant::Int8),
        Dtype::Auto => Err(Error::new(ErrorKind::BadOption, "the provider onnx does not try number types")
            .hint(format!("dtype takes {}", SPECS[0].values))),
        Dtype::Bf16 => Err(Error::new(ErrorKind::BadOption, "ONNX models are not published as bf16")
            .hint(format!("dtype takes {}", SPECS[0].values))),
    }
}

fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn variant(text: &str) -> Option<Variant> {
    match text {
        "fp32" => Some(Variant::F32),
        "fp16" => Some(Variant::F16),
        "quantized" => Some(Variant::Q8),
        _ => Variant::ALL.into_iter().find(|variant| variant.to_string() == text),
    }
}

/// A graph's name below the model's folder.
pub(crate) fn file(text: &str) -> Option<String> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_))) && !text.contains('\\');
    (plain && path.extension().is_some_and(|e| e == "onnx")).then(|| text.to_owned())
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        // They become C strings.
        let plain = !key.trim().is_empty() && !pair.contains('\0');
        plain.then(|| (key.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(',').map(pair).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use imbed_core::{
        image::Filter,
        options::OptionMap,
        preprocess::{Size, Step},
    };
    use serde_json::json;

    use super::*;

    /// The options that a user types.
    pub(crate) fn options(pairs: &[(&'static str, &'static str)]) -> EmbedOptions {
        pairs.iter().copied().collect::<OptionMap>().read(SPECS).unwrap()
    }

    fn read(name: &'static str, text: &'static str) -> OnnxOptions {
        OnnxOptions::read(&options(&[(name, text)])).unwrap()
    }

    #[test]
    fn typed_values_are_read() {
        assert_eq!(read("dtype", "q8").files.variant, Some(Variant::Q8));
        assert_eq!(read("dtype", "fp16").files.variant, Some(Variant::F16));
        assert_eq!(read("resample", "lanczos").recipe.resample, Some(Filter::Lanczos));
        assert!(read("channels", "bgr").bgr);
        let pair = ("device_type".to_owned(), "GPU".to_owned());
        assert_eq!(read("execution_options", "device_type=GPU").execution_options, [pair]);
    }

    #[test]
    fn lists_from_a_configuration_file_are_read_like_typed_ones() {
        let extra = [("mean".to_owned(), json!([0.1, 0.2, 0.3])), ("crop".to_owned(), json!(8))].into();
        let read = OnnxOptions::read(&EmbedOptions { extra, ..Default::default() }).unwrap();
        assert_eq!(read.recipe.mean, Some([0.1, 0.2, 0.3]));
        assert_eq!(read.recipe.crop, Step::With(Size { height: 8, width: 8 }));
    }

    #[test]
    fn a_value_that_an_option_does_not_take_names_the_option_and_what_it_takes() {
        for (name, text) in [
            ("dtype", "bf16"),
            ("file", "../model.onnx"),
            ("file", "/model.onnx"),
            ("file", "weights.bin"),
            ("layout", "chw"),
            ("channels", "grb"),
            ("embedding_width", "0"),
            ("prefix_tokens", "-1"),
            ("resize", "0"),
            ("std", "0"),
            ("execution_provider", "npu"),
            ("execution_options", "device_type"),
            ("threads", "0"),
            ("input", ""),
        ] {
            let error = OnnxOptions::read(&options(&[(name, text)])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption, "{name}={text}");
            assert!(error.message().contains(name) && error.message().contains(text), "{error}");
            assert!(error.hint_text().unwrap().starts_with(name), "{error}");
        }
    }

    #[test]
    fn every_option_that_is_listed_is_read() {
        for spec in SPECS {
            let samples = ["1", "f32", "a.onnx", "nchw", "rgb", "bicubic", "cpu", "key=value"];
            let read = samples.iter().any(|text| OnnxOptions::default().set(spec.name, text).is_some());
            assert!(read, "{}", spec.name);
        }
        assert!(OnnxOptions::default().set("nobody", "1").is_none());
    }

    #[test]
    fn a_file_and_a_number_type_do_not_go_together() {
        assert_eq!(read("file", "visual/model.onnx").files.file.as_deref(), Some("visual/model.onnx"));
        let error = OnnxOptions::read(&options(&[("file", "a.onnx"), ("dtype", "f16")])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption);
    }

    #[test]
    fn the_common_number_types_choose_a_file_too() {
        let of = |dtype| OnnxOptions::read(&EmbedOptions { dtype: Some(dtype), ..Default::default() });
        assert_eq!(of(Dtype::F16).unwrap().files.variant, Some(Variant::F16));
        assert_eq!(of(Dtype::Bf16).unwrap_err().kind(), ErrorKind::BadOption);
    }
}
