//! Reading a checkpoint's `preprocessor_config.json`.
//!
//! The semantics are those of the PIL processors of Hugging Face `transformers` 5 (`image_processing_backends.PilBackend`
//! and its subclasses), which read the files of all earlier versions too. What a file leaves out takes the default of its
//! processor. What would change pixels and is not understood is an error: a guess would embed wrongly and say nothing.

use serde_json::{Map, Value};

use super::{Normalize, Preprocess, Resize, ResizeTarget, Size};
use crate::{Error, ErrorKind, Result, image::Filter};

/// What a processor does where its file is silent.
struct Processor {
    /// Its name without `ImageProcessor`, `FeatureExtractor`, `Fast` or `Pil`.
    name: &'static str,
    size: ResizeTarget,
    /// A single number for the size means both sides, and not the shorter one.
    square: bool,
    filter: Filter,
    crop: Option<u32>,
    mean: [f64; 3],
    std: [f64; 3],
}

const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
const HALF: [f64; 3] = [0.5; 3];

const fn square(side: u32) -> ResizeTarget {
    ResizeTarget::Exact(Size::square(side))
}

const PROCESSORS: &[Processor] = &[
    Processor {
        name: "CLIP",
        size: ResizeTarget::ShortestEdge(224),
        square: false,
        filter: Filter::Bicubic,
        crop: Some(224),
        mean: CLIP_MEAN,
        std: CLIP_STD,
    },
    Processor {
        name: "ViT",
        size: square(224),
        square: true,
        filter: Filter::Bilinear,
        crop: None,
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: "Siglip",
        size: square(224),
        square: false,
        filter: Filter::Bicubic,
        crop: None,
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: "Bit",
        size: ResizeTarget::ShortestEdge(224),
        square: false,
        filter: Filter::Bicubic,
        crop: Some(224),
        mean: CLIP_MEAN,
        std: CLIP_STD,
    },
    Processor {
        name: "DeiT",
        size: square(256),
        square: true,
        filter: Filter::Bicubic,
        crop: Some(224),
        mean: HALF,
        std: HALF,
    },
    Processor {
        name: CONVNEXT,
        size: ResizeTarget::ShortestEdge(384),
        square: false,
        filter: Filter::Bicubic,
        crop: None,
        mean: HALF,
        std: HALF,
    },
];

const CONVNEXT: &str = "ConvNext";

/// Keys that are read below.
const READ: &[&str] = &[
    "image_processor_type",
    "feature_extractor_type",
    "do_resize",
    "size",
    "default_to_square",
    "resample",
    "do_center_crop",
    "crop_size",
    "crop_pct",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
];

/// Keys that change nothing here. Images are always made RGB, so `do_convert_rgb` is one of them, and a size to pad to
/// means nothing without `do_pad`.
const IDLE: &[&str] = &[
    "do_convert_rgb",
    "pad_size",
    "processor_class",
    "auto_map",
    "data_format",
    "input_data_format",
    "device",
    "return_tensors",
    "disable_grouping",
    "image_seq_length",
    "num_channels",
];

/// The recipe that a `preprocessor_config.json` describes.
///
/// Known are the image processors (and feature extractors, and `Fast` variants) of CLIP, `ViT`, `SigLIP`, `BiT`, `DeiT` and
/// `ConvNeXT`, in the old and the new spellings of their sizes. Errors are of kind [`Unsupported`](ErrorKind::Unsupported)
/// for what is not understood and [`Model`](ErrorKind::Model) for what makes no sense.
///
/// ```
/// use imbed_core::preprocess::{ResizeTarget, from_preprocessor_config};
///
/// let old = serde_json::json!({ "feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224 });
/// let recipe = from_preprocessor_config(&old)?;
/// assert_eq!(recipe.resize.unwrap().target, ResizeTarget::ShortestEdge(224));
/// # Ok::<(), imbed_core::Error>(())
/// ```
pub fn from_preprocessor_config(json: &Value) -> Result<Preprocess> {
    read(json).map_err(|e| e.context("preprocessor_config.json"))
}

fn read(json: &Value) -> Result<Preprocess> {
    let config = Config(json.as_object().ok_or_else(|| nonsense("it is not a JSON object"))?);
    let processor = config.processor()?;
    config.refuse_what_is_not_understood()?;

    let mut resize = None;
    let mut center_crop = None;
    if config.switch("do_resize", true)? {
        let filter = match config.get("resample") {
            None => processor.filter,
            Some(value) => value
                .as_i64()
                .and_then(Filter::from_pil)
                .ok_or_else(|| nonsense(format!("resample {value} is not one of PIL's filters 0 to 5")))?,
        };
        let target = config.resize_target(processor)?;
        if processor.name == CONVNEXT {
            resize = Some(Resize { target: config.convnext(target)?, filter });
        } else {
            resize = Some(Resize { target, filter });
        }
    }
    if config.switch("do_center_crop", processor.crop.is_some())? {
        center_crop = Some(config.crop_size(processor)?);
    }
    let scale =
        if config.switch("do_rescale", true)? { config.number("rescale_factor")?.unwrap_or(1.0 / 255.0) } else { 1.0 };
    let normalize = if config.switch("do_normalize", true)? {
        let mean = config.triple("image_mean")?.unwrap_or(processor.mean);
        let std = config.triple("image_std")?.unwrap_or(processor.std);
        Normalize { scale, mean, std }
    } else {
        Normalize { scale, ..Normalize::NONE }
    };
    if normalize.std.contains(&0.0) {
        return Err(nonsense("image_std holds a 0"));
    }
    Ok(Preprocess { resize, center_crop, normalize })
}

fn nonsense(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, why)
}

fn not_understood(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} is not understood, and would change the pixels"))
}

/// The file's object. A `null` is as good as absent, as in the reference.
struct Config<'a>(&'a Map<String, Value>);

impl Config<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn processor(&self) -> Result<&'static Processor> {
        let known = || {
            let names: Vec<String> = PROCESSORS.iter().map(|p| format!("{}ImageProcessor", p.name)).collect();
            format!("known processors: {}", names.join(", "))
        };
        let Some(class) = self.get("image_processor_type").or(self.get("feature_extractor_type")) else {
            return Err(Error::new(ErrorKind::Unsupported, "it does not name its image_processor_type")
                .hint(format!("add the one that the model was trained with; {}", known())));
        };
        let class = class.as_str().unwrap_or_default();
        let stem = class.strip_suffix("Fast").or(class.strip_suffix("Pil")).unwrap_or(class);
        let stem = stem.strip_suffix("ImageProcessor").or(stem.strip_suffix("FeatureExtractor"));
        PROCESSORS.iter().find(|p| Some(p.name) == stem).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("the image processor '{class}' is not known")).hint(known())
        })
    }

    fn refuse_what_is_not_understood(&self) -> Result<()> {
        for (key, value) in self.0 {
            let idle = IDLE.contains(&key.as_str())
                || key.starts_with('_')
                || matches!(value, Value::Null | Value::Bool(false));
            if !idle && !READ.contains(&key.as_str()) {
                return Err(not_understood(format_args!("{key}: {value}")));
            }
        }
        Ok(())
    }

    fn switch(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| nonsense(format!("{key} is {value}, not true or false"))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| nonsense(format!("{key} is {value}, not a number"))),
        }
    }

    /// Three numbers, or one for all channels.
    fn triple(&self, key: &str) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers: Option<Vec<f64>> = match value {
            Value::Array(items) => items.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|n| vec![n; 3]),
        };
        let three = numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok());
        three.map(Some).ok_or_else(|| nonsense(format!("{key} is {value}, not one number for each of three channels")))
    }

    fn resize_target(&self, processor: &Processor) -> Result<ResizeTarget> {
        let Some(value) = self.get("size") else { return Ok(processor.size) };
        let is_square = self.switch("default_to_square", processor.square)?;
        if let Some(edge) = value.as_u64() {
            let edge = side("size", edge)?;
            return Ok(if is_square { square(edge) } else { ResizeTarget::ShortestEdge(edge) });
        }
        match sides("size", value)? {
            Sides::Both(size) => Ok(ResizeTarget::Exact(size)),
            Sides::Shortest(edge) => Ok(ResizeTarget::ShortestEdge(edge)),
        }
    }

    fn crop_size(&self, processor: &Processor) -> Result<Size> {
        let Some(value) = self.get("crop_size") else {
            let side = processor.crop.ok_or_else(|| nonsense("do_center_crop is true without a crop_size"))?;
            return Ok(Size { height: side, width: side });
        };
        if let Some(edge) = value.as_u64() {
            let edge = side("crop_size", edge)?;
            return Ok(Size { height: edge, width: edge });
        }
        match sides("crop_size", value)? {
            Sides::Both(size) => Ok(size),
            Sides::Shortest(_) => Err(nonsense(format!("crop_size is {value}, without a height and a width"))),
        }
    }

    fn convnext(&self, target: ResizeTarget) -> Result<ResizeTarget> {
        let ResizeTarget::ShortestEdge(edge) = target else {
            return Err(nonsense("ConvNeXT's size must be a shortest_edge"));
        };
        let crop_pct = self.number("crop_pct")?.unwrap_or(224.0 / 256.0);
        if crop_pct <= 0.0 {
            return Err(nonsense(format!("crop_pct is {crop_pct}, not a share of 1")));
        }
        side("size over crop_pct", (f64::from(edge) / crop_pct) as u64)?;
        Ok(ResizeTarget::ConvNext { side: edge, crop_pct })
    }
}

enum Sides {
    Both(Size),
    Shortest(u32),
}

/// `{"height", "width"}`, `[height, width]` or `{"shortest_edge"}`.
fn sides(key: &str, value: &Value) -> Result<Sides> {
    let number = |value: &Value| {
        value
            .as_u64()
            .ok_or_else(|| nonsense(format!("{key} holds {value}, not a number of pixels")))
            .and_then(|n| side(key, n))
    };
    if let Some([height, width]) = value.as_array().map(Vec::as_slice) {
        return Ok(Sides::Both(Size { height: number(height)?, width: number(width)? }));
    }
    let given = |name: &str| value.get(name).filter(|value| !value.is_null());
    let count = value.as_object().map_or(0, |sides| sides.values().filter(|value| !value.is_null()).count());
    match (given("height"), given("width"), given("shortest_edge"), count) {
        (Some(height), Some(width), None, 2) => {
            Ok(Sides::Both(Size { height: number(height)?, width: number(width)? }))
        }
        (None, None, Some(edge), 1) => Ok(Sides::Shortest(number(edge)?)),
        _ => Err(not_understood(format_args!("{key}: {value}"))),
    }
}

/// A side in pixels; the bound keeps a hostile file from asking for absurd memory.
fn side(key: &str, pixels: u64) -> Result<u32> {
    match u32::try_from(pixels) {
        Ok(pixels @ 1..=16_384) => Ok(pixels),
        _ => Err(nonsense(format!("{key} asks for {pixels} pixels on a side; 1 to 16384 make sense"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipe(json: &Value) -> Preprocess {
        from_preprocessor_config(json).unwrap()
    }

    fn error(json: &Value) -> Error {
        from_preprocessor_config(json).unwrap_err()
    }

    #[test]
    fn every_processor_has_its_own_defaults() {
        for (class, target, filter, crop, mean) in [
            ("CLIPImageProcessor", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("CLIPFeatureExtractor", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("CLIPImageProcessorFast", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("CLIPImageProcessorPil", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("ViTImageProcessor", square(224), Filter::Bilinear, None, HALF),
            ("ViTFeatureExtractor", square(224), Filter::Bilinear, None, HALF),
            ("SiglipImageProcessor", square(224), Filter::Bicubic, None, HALF),
            ("BitImageProcessor", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("DeiTImageProcessor", square(256), Filter::Bicubic, Some(224), HALF),
            (
                "ConvNextImageProcessor",
                ResizeTarget::ConvNext { side: 384, crop_pct: 0.875 },
                Filter::Bicubic,
                None,
                HALF,
            ),
        ] {
            let recipe = recipe(&json!({ "image_processor_type": class }));
            assert_eq!(recipe.resize, Some(Resize { target, filter }), "{class}");
            assert_eq!(recipe.center_crop, crop.map(|side| Size { height: side, width: side }), "{class}");
            assert_eq!(recipe.normalize.mean, mean, "{class}");
        }
    }

    #[test]
    fn one_number_is_the_shorter_edge_or_a_square_as_the_processor_has_it() {
        for (class, target) in [
            ("CLIPImageProcessor", ResizeTarget::ShortestEdge(336)),
            ("SiglipImageProcessor", ResizeTarget::ShortestEdge(336)),
            ("ViTImageProcessor", square(336)),
        ] {
            assert_eq!(recipe(&json!({ "image_processor_type": class, "size": 336 })).resize.unwrap().target, target);
        }
    }

    #[test]
    fn switches_turn_steps_off() {
        let off = recipe(&json!({
            "image_processor_type": "CLIPImageProcessor", "do_resize": false, "do_center_crop": false,
            "do_rescale": false, "do_normalize": false,
        }));
        assert_eq!(off, Preprocess { resize: None, center_crop: None, normalize: Normalize::NONE });
    }

    #[test]
    fn sizes_are_read_in_every_spelling() {
        let size = Size { height: 10, width: 20 };
        for value in [
            json!([10, 20]),
            json!({ "height": 10, "width": 20 }),
            json!({ "height": 10, "width": 20, "shortest_edge": null }),
        ] {
            let recipe =
                recipe(&json!({ "image_processor_type": "CLIPImageProcessor", "size": value, "crop_size": value }));
            assert_eq!((recipe.resize.unwrap().target, recipe.center_crop), (ResizeTarget::Exact(size), Some(size)));
        }
    }

    #[test]
    fn convnext_cuts_below_384() {
        let small =
            recipe(&json!({ "image_processor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875 }));
        assert_eq!(small.resize.unwrap().target, ResizeTarget::ConvNext { side: 224, crop_pct: 0.875 });
        assert_eq!(small.output_size(), Some(Size::square(224)));
    }

    #[test]
    fn an_unknown_processor_is_named_and_the_known_ones_listed() {
        let error = error(&json!({ "image_processor_type": "LlavaImageProcessor" }));
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("LlavaImageProcessor"), "{error}");
        assert!(error.hint_text().unwrap().contains("CLIPImageProcessor, ViTImageProcessor"), "{error}");
        assert_eq!(super::from_preprocessor_config(&json!({})).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn what_would_change_pixels_and_is_not_understood_is_an_error() {
        for (key, value) in [
            ("do_pad", json!(true)),
            ("do_flip_channel_order", json!(true)),
            ("size", json!({ "shortest_edge": 224, "longest_edge": 500 })),
            ("size", json!({ "longest_edge": 500 })),
        ] {
            let error = error(&json!({ "image_processor_type": "CLIPImageProcessor", key: value }));
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
        assert!(
            from_preprocessor_config(&json!({ "image_processor_type": "CLIPImageProcessor", "do_pad": false })).is_ok()
        );
    }

    #[test]
    fn nonsense_is_an_error_that_names_the_key() {
        for (key, value) in [
            ("resample", json!(9)),
            ("size", json!(0)),
            ("size", json!(1_000_000)),
            ("crop_size", json!({ "shortest_edge": 3 })),
            ("image_mean", json!([0.5, 0.5])),
            ("image_std", json!([0.5, 0.5, 0])),
            ("do_resize", json!("yes")),
            ("rescale_factor", json!("1/255")),
        ] {
            let error = error(&json!({ "image_processor_type": "CLIPImageProcessor", key: value }));
            assert_eq!(error.kind(), ErrorKind::Model, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
    }
}
