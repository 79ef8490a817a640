//! Reading a checkpoint's `preprocessor_config.json`.
//!
//! The semantics are those of the PIL processors of Hugging Face `transformers` 5 (`image_processing_backends.PilBackend`
//! and its subclasses), which read the files of all earlier versions too. What a file leaves out takes the default of its
//! processor. What would change pixels and is not understood is an error: a guess would embed wrongly and say nothing.

mod config;
mod processors;
mod sizes;

use serde_json::Value;

use self::{
    config::{Config, nonsense, not_understood},
    processors::{Kind, Processor},
};
use super::{Normalize, Preprocess, Resize, ResizeTarget, Size};
use crate::{Error, ErrorKind, Result, image::Filter};

/// The recipe that a `preprocessor_config.json` describes, or the `image_processor` inside a `processor_config.json`.
///
/// Known are the image processors (and feature extractors, and the `Fast` and `Pil` variants) of CLIP, Chinese CLIP, `ViT`,
/// `SigLIP`, `SigLIP 2`, `BiT` (`DINOv2`), `DINOv3`, `ConvNeXT`, `DeiT` and `BEiT`, in the old and the new spellings of
/// their sizes. Errors are of kind [`Unsupported`](ErrorKind::Unsupported) for what is not understood and
/// [`Model`](ErrorKind::Model) for what makes no sense.
///
/// ```
/// use imbed_core::preprocess::{ResizeTarget, from_preprocessor_config};
///
/// let old = serde_json::json!({ "feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224 });
/// let recipe = from_preprocessor_config(&old)?;
/// assert_eq!(recipe.resize.unwrap().target, ResizeTarget::ShortestEdge(224));
///
/// let new = serde_json::json!({ "image_processor": { "image_processor_type": "Siglip2ImageProcessor" } });
/// let recipe = from_preprocessor_config(&new)?;
/// assert_eq!(recipe.resize.unwrap().target, ResizeTarget::Patches { patch: 16, max_patches: 256 });
/// # Ok::<(), imbed_core::Error>(())
/// ```
pub fn from_preprocessor_config(json: &Value) -> Result<Preprocess> {
    // Newer files hold the processors of all of a model's inputs, each under its own key.
    let own = json.get("image_processor").filter(|inner| inner.is_object()).unwrap_or(json);
    read(own).map_err(|e| e.context("preprocessor_config.json"))
}

fn read(json: &Value) -> Result<Preprocess> {
    let config = Config(json.as_object().ok_or_else(|| nonsense("it is not a JSON object"))?);
    let processor = config.processor()?;
    config.refuse_what_is_not_understood()?;

    let resize = resize(&config, processor)?;
    let crops = config.switch("do_center_crop", processor.do_center_crop)?;
    let crop = if crops { Some(crop_size(&config, processor)?) } else { None };
    // Asked for and never done: as the reference has it.
    let center_crop = crop.filter(|_| processor.kind != Kind::Patches);
    let recipe = Preprocess { resize, center_crop, normalize: normalize(&config, processor)? };
    match processor.kind {
        Kind::Plain | Kind::Clip => refuse_padding(&config, &recipe)?,
        Kind::Floats => refuse_what_bytes_cannot_do(&recipe)?,
        // These do not read `do_pad`.
        Kind::Unpadded | Kind::ConvNext | Kind::Patches => {}
    }
    Ok(recipe)
}

fn resize(config: &Config<'_>, processor: &Processor) -> Result<Option<Resize>> {
    if !config.switch("do_resize", true)? {
        if processor.kind == Kind::Patches {
            return Err(unsupported("do_resize is false, which leaves images that are no whole patches")
                .hint("a model of patches needs do_resize: true"));
        }
        return Ok(None);
    }
    // SigLIP 2's steps fall back to a filter of their own, its default.
    let resample = match processor.kind {
        Kind::Patches => config.get("resample"),
        _ => config.value("resample")?,
    };
    let filter = match resample {
        None => processor.filter,
        Some(value) => value
            .as_i64()
            .and_then(Filter::from_pil)
            .ok_or_else(|| nonsense(format!("resample {value} is not one of PIL's filters 0 to 5")))?,
    };
    let target = match processor.kind {
        Kind::Patches => patches(config, processor.size)?,
        Kind::ConvNext => convnext(config, size(config, processor)?)?,
        Kind::Clip if config.switch("use_square_size", false)? => ResizeTarget::Exact(Size::square(224)),
        _ => size(config, processor)?,
    };
    Ok(Some(Resize { target, filter }))
}

fn size(config: &Config<'_>, processor: &Processor) -> Result<ResizeTarget> {
    let Some(value) = config.value("size")? else { return Ok(processor.size) };
    if value.is_number() {
        let edge = sizes::number("size", value)?;
        let square = config.switch("default_to_square", processor.square)?;
        return Ok(if square { ResizeTarget::Exact(Size::square(edge)) } else { ResizeTarget::ShortestEdge(edge) });
    }
    sizes::target("size", value)
}

fn crop_size(config: &Config<'_>, processor: &Processor) -> Result<Size> {
    match (config.value("crop_size")?, processor.crop) {
        (Some(value), _) => sizes::both("crop_size", value),
        (None, Some(side)) => Ok(Size::square(side)),
        (None, None) => Err(nonsense("do_center_crop is true without a crop_size")),
    }
}

fn patches(config: &Config<'_>, default: ResizeTarget) -> Result<ResizeTarget> {
    let ResizeTarget::Patches { patch, max_patches } = default else { return Ok(default) };
    let number = |key: &str, default: u32| config.value(key)?.map_or(Ok(default), |value| sizes::number(key, value));
    Ok(ResizeTarget::Patches {
        patch: number("patch_size", patch)?,
        max_patches: number("max_num_patches", max_patches)?,
    })
}

fn convnext(config: &Config<'_>, target: ResizeTarget) -> Result<ResizeTarget> {
    let ResizeTarget::ShortestEdge(edge) = target else {
        return Err(nonsense("ConvNeXT's size must be a shortest_edge"));
    };
    let crop_pct = config.number("crop_pct")?.unwrap_or(224.0 / 256.0);
    if crop_pct <= 0.0 {
        return Err(nonsense(format!("crop_pct is {crop_pct}, not a share of 1")));
    }
    sizes::side("size over crop_pct", (f64::from(edge) / crop_pct) as u64)?;
    Ok(ResizeTarget::ConvNext { side: edge, crop_pct })
}

fn normalize(config: &Config<'_>, processor: &Processor) -> Result<Normalize> {
    let scale =
        if config.switch("do_rescale", true)? { config.number("rescale_factor")?.unwrap_or(1.0 / 255.0) } else { 1.0 };
    if !config.switch("do_normalize", true)? {
        return Ok(Normalize { scale, ..Normalize::NONE });
    }
    let mean = config.triple("image_mean")?.unwrap_or(processor.mean);
    let std = config.triple("image_std")?.unwrap_or(processor.std);
    if std.contains(&0.0) {
        return Err(nonsense("image_std holds a 0"));
    }
    Ok(Normalize { scale, mean, std })
}

/// Padding comes after normalisation and fills with 0, a colour that bytes do not have. Where it adds nothing it is
/// harmless.
fn refuse_padding(config: &Config<'_>, recipe: &Preprocess) -> Result<()> {
    if !config.switch("do_pad", false)? {
        return Ok(());
    }
    let pad = config.get("pad_size").map(|value| sizes::both("pad_size", value)).transpose()?;
    match (recipe.output_size(), pad) {
        (Some(_), None) => Ok(()),
        (Some(output), Some(pad)) if output == pad => Ok(()),
        _ => {
            Err(not_understood("do_pad: true").hint("only padding that adds nothing to the crop or the exact size is"))
        }
    }
}

/// `DINOv3`'s processor is torchvision's: it resizes numbers from 0 to 1 and never rounds them to bytes. Its bilinear
/// filter is Pillow's but for that rounding. The others are not, and neither is its padding.
fn refuse_what_bytes_cannot_do(recipe: &Preprocess) -> Result<()> {
    if let Some(Resize { filter, .. }) = recipe.resize
        && filter != Filter::Bilinear
    {
        return Err(unsupported(format!("this processor with the filter {filter:?} is not done here"))
            .hint("resample: 2 (bilinear) is, which DINOv3's checkpoints have"));
    }
    let shorter = |size: Size| size.height.min(size.width);
    let resized = recipe.resize.and_then(|resize| match resize.target {
        ResizeTarget::ShortestEdge(edge) => Some(edge),
        target => target.output_size().map(shorter),
    });
    match recipe.center_crop {
        Some(crop) if resized.is_none_or(|resized| resized < crop.height.max(crop.width)) => {
            Err(unsupported("this processor with a crop_size larger than its size is not done here")
                .hint("its padding is torchvision's; a crop within the size is done"))
        }
        _ => Ok(()),
    }
}

fn unsupported(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        processors::{CLIP_MEAN, HALF, IMAGENET_MEAN},
        *,
    };

    fn square(side: u32) -> ResizeTarget {
        ResizeTarget::Exact(Size::square(side))
    }

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
            ("ChineseCLIPImageProcessor", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("ViTImageProcessor", square(224), Filter::Bilinear, None, HALF),
            ("DINOv3ViTImageProcessorFast", square(224), Filter::Bilinear, None, IMAGENET_MEAN),
            ("SiglipImageProcessor", square(224), Filter::Bicubic, None, HALF),
            ("BitImageProcessor", ResizeTarget::ShortestEdge(224), Filter::Bicubic, Some(224), CLIP_MEAN),
            ("DeiTImageProcessor", square(256), Filter::Bicubic, Some(224), HALF),
            ("BeitFeatureExtractor", square(224), Filter::Bicubic, None, HALF),
            (
                "Siglip2ImageProcessor",
                ResizeTarget::Patches { patch: 16, max_patches: 256 },
                Filter::Bilinear,
                None,
                HALF,
            ),
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
    fn a_null_switches_a_step_off_and_is_no_value_for_one_that_is_on() {
        for switches in [
            json!({ "do_resize": null, "do_center_crop": null, "do_rescale": null, "do_normalize": null }),
            json!({
                "do_resize": null, "do_center_crop": false, "do_rescale": null, "do_normalize": false,
                "size": null, "crop_size": null, "rescale_factor": null, "image_mean": null, "resample": null,
            }),
        ] {
            let mut json = switches;
            json["image_processor_type"] = json!("CLIPImageProcessor");
            assert_eq!(recipe(&json), Preprocess { resize: None, center_crop: None, normalize: Normalize::NONE });
        }
        for key in ["size", "resample", "crop_size", "rescale_factor", "image_mean", "image_std"] {
            let error = error(&json!({ "image_processor_type": "CLIPImageProcessor", key: null }));
            assert!(error.kind() == ErrorKind::Model && error.message().contains(key), "{error}");
        }
        let not_square = json!({ "image_processor_type": "ViTImageProcessor", "default_to_square": null, "size": 9 });
        assert_eq!(recipe(&not_square).resize.unwrap().target, ResizeTarget::ShortestEdge(9));
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
        for (value, target) in [
            (json!({ "shortest_edge": 10, "longest_edge": 20 }), ResizeTarget::Edges { shortest: 10, longest: 20 }),
            (json!({ "max_height": 10, "max_width": 20 }), ResizeTarget::Within(size)),
        ] {
            let recipe = recipe(&json!({ "image_processor_type": "ViTImageProcessor", "size": value }));
            assert_eq!(recipe.resize.unwrap().target, target);
        }
    }

    #[test]
    fn siglip2_reads_its_patches_and_no_size() {
        let recipe = recipe(&json!({
            "image_processor_type": "Siglip2ImageProcessorFast", "patch_size": 14, "max_num_patches": 729,
            "size": 7, "do_center_crop": true, "crop_size": 5, "resample": null,
        }));
        assert_eq!(recipe.resize.unwrap().filter, Filter::Bilinear);
        assert_eq!(recipe.resize.unwrap().target, ResizeTarget::Patches { patch: 14, max_patches: 729 });
        assert_eq!(recipe.center_crop, None);
        let error = error(&json!({ "image_processor_type": "Siglip2ImageProcessor", "do_resize": false }));
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_nested_file_is_read_inside() {
        let inner = json!({ "image_processor_type": "ViTImageProcessor", "size": { "height": 10, "width": 20 } });
        let outer = json!({ "image_processor": inner, "processor_class": "SomeProcessor" });
        assert_eq!(recipe(&outer), recipe(&inner));
    }

    #[test]
    fn padding_that_adds_nothing_is_read_over_and_any_other_is_an_error() {
        let clip = |pad: Value, crop: bool| {
            json!({
                "image_processor_type": "CLIPImageProcessor", "do_pad": true, "pad_size": pad, "do_center_crop": crop,
            })
        };
        let same = json!({ "height": 224, "width": 224 });
        assert!(from_preprocessor_config(&clip(Value::Null, true)).is_ok());
        assert!(from_preprocessor_config(&clip(same.clone(), true)).is_ok());
        for json in [clip(same, false), clip(Value::Null, false), clip(json!({ "height": 256, "width": 224 }), true)] {
            let error = error(&json);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("do_pad"), "{error}");
        }
        let unread = json!({ "image_processor_type": "BeitImageProcessor", "do_pad": true, "size": 10 });
        assert!(from_preprocessor_config(&unread).is_ok());
    }

    #[test]
    fn kosmos_makes_clips_size_a_square() {
        let json = json!({ "image_processor_type": "CLIPImageProcessor", "use_square_size": true, "size": 10 });
        assert_eq!(recipe(&json).resize.unwrap().target, square(224));
    }

    #[test]
    fn of_dinov3_only_what_rounding_to_bytes_hardly_changes_is_done() {
        let dinov3 = |resample: i64, size: Value, crop: Value| {
            json!({
                "image_processor_type": "DINOv3ViTImageProcessor", "resample": resample, "size": size,
                "do_center_crop": !crop.is_null(), "crop_size": crop,
            })
        };
        let edge = json!({ "shortest_edge": 256 });
        assert!(from_preprocessor_config(&dinov3(2, json!(256), json!(224))).is_ok());
        assert!(from_preprocessor_config(&dinov3(2, edge.clone(), json!(256))).is_ok());
        for json in
            [dinov3(3, json!(224), Value::Null), dinov3(2, json!(224), json!(225)), dinov3(2, edge, json!([224, 257]))]
        {
            assert_eq!(error(&json).kind(), ErrorKind::Unsupported, "{json}");
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
            ("do_flip_channel_order", json!(true)),
            ("size", json!({ "min_pixels": 224, "max_pixels": 500 })),
            ("size", json!({ "longest_edge": 500 })),
        ] {
            let error = error(&json!({ "image_processor_type": "CLIPImageProcessor", key: value }));
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
        let off = json!({ "image_processor_type": "CLIPImageProcessor", "do_flip_channel_order": false });
        assert!(from_preprocessor_config(&off).is_ok());
    }

    #[test]
    fn a_type_that_is_no_name_is_unknown_and_shown() {
        let error = error(&json!({ "image_processor_type": 7 }));
        assert!(error.message().contains('7') && error.kind() == ErrorKind::Unsupported, "{error}");
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
