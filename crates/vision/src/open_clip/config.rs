//! `open_clip_config.json` as the two files that `transformers` would have beside the same model.
//!
//! What a config leaves out has the default of `open_clip` (`CLIPVisionCfg` and `PreprocessCfg`, version 3.3). What changes
//! the vectors and cannot be told in CLIP's words is refused by its name.

use std::path::Path;

use imbed_core::{Error, ErrorKind, Result, fetch::read_text};
use serde_json::{Map, Value, json};

/// The file's name.
pub(crate) const CONFIG: &str = "open_clip_config.json";

/// What `transformers` would have written.
#[derive(Debug)]
pub(crate) struct Translated {
    /// As in `config.json`.
    pub(crate) config: Value,
    /// As in `preprocessor_config.json`.
    pub(crate) preprocessor: Value,
}

/// Keys of `model_cfg`. Beside the tower's they are about the text and the loss.
const MODEL: &[&str] = &[
    "embed_dim",
    "vision_cfg",
    "quick_gelu",
    "text_cfg",
    "custom_text",
    "multimodal_cfg",
    "init_logit_scale",
    "init_logit_bias",
    "nonscalar_logit_scale",
    "cast_dtype",
    "output_dict",
];

/// Keys of `vision_cfg` that are read, or that change no vector: dropout is training's, position embeddings are stored
/// whatever they were made of, a norm of each token may as well come after one token is chosen, and the details of an
/// attentional pooler and of a tower from timm mean nothing without those.
const VISION: &[&str] = &[
    "layers",
    "width",
    "head_width",
    "mlp_ratio",
    "patch_size",
    "image_size",
    "norm_kwargs",
    "pool_type",
    "patch_dropout",
    "pos_embed_type",
    "final_ln_after_pool",
    "output_tokens",
    "attn_pooler_queries",
    "attn_pooler_heads",
    "timm_model_pretrained",
    "timm_pool",
    "timm_proj",
    "timm_proj_bias",
    "timm_drop",
    "timm_drop_path",
];

/// Whether the model in `folder` is described by `open_clip`'s config alone. A `config.json` without a `model_type`, which
/// is one of timm, describes the tower without its projection.
pub(crate) fn describes(folder: &Path) -> bool {
    let has_type = |text: String| {
        // One that is not JSON is `transformers`' own and broken; that is said when it is read.
        serde_json::from_str::<Value>(&text).map_or(true, |config| config.get("model_type").is_some())
    };
    let config = folder.join("config.json");
    let described = config.is_file() && read_text(&config).map_or(true, has_type);
    !described && folder.join(CONFIG).is_file()
}

/// The translation of `folder`'s config, if that is what describes the model.
pub(crate) fn read(folder: &Path) -> Result<Option<Translated>> {
    if !describes(folder) {
        return Ok(None);
    }
    let path = folder.join(CONFIG);
    let place = path.display();
    let text = read_text(&path)?;
    let config: Value = serde_json::from_str(&text)
        .map_err(|e| Error::new(ErrorKind::Model, format!("{place}: not valid JSON: {e}")).source(e))?;
    translate(&config).map(Some).map_err(|e| e.context(place))
}

/// The translation of a config.
pub(crate) fn translate(config: &Value) -> Result<Translated> {
    let empty = Map::new();
    let part = |value: Option<&Value>, name: &'static str| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(Part { name, map: map.clone() })),
        Some(_) => Err(nonsense(format!("{name} is not an object"))),
    };
    let model = part(config.get("model_cfg"), "model_cfg")?.ok_or_else(|| nonsense("it has no model_cfg"))?;
    let vision = part(model.map.get("vision_cfg"), "vision_cfg")?.ok_or_else(|| nonsense("it has no vision_cfg"))?;
    let preprocess = part(config.get("preprocess_cfg"), "preprocess_cfg")?;
    let preprocess = preprocess.unwrap_or(Part { name: "preprocess_cfg", map: empty });
    model.refuse_others(MODEL)?;
    let tower = tower(&model, &vision)?;
    let preprocessor = preprocessor(&preprocess, vision.get("image_size").unwrap_or(&json!(224)))?;
    let config = json!({
        "model_type": "clip",
        "projection_dim": model.size("embed_dim", None)?,
        "vision_config": tower,
    });
    Ok(Translated { config, preprocessor })
}

fn tower(model: &Part, vision: &Part) -> Result<Value> {
    if let Some(name) = vision.get("timm_model_name") {
        return Err(not_clip(format!("its vision tower is {name} of timm")));
    }
    if vision.get("layers").is_some_and(Value::is_array) {
        return Err(not_clip("its vision tower is a ResNet"));
    }
    match vision.get("pool_type") {
        None => {}
        Some(pool) if pool == "tok" => {}
        Some(pool) => return Err(not_clip(format!("its pool_type is {pool}, and CLIP's is 'tok'"))),
    }
    vision.refuse_others(VISION)?;
    let (width, head) = (vision.size("width", Some(768))?, vision.size("head_width", Some(64))?);
    let ratio = vision.number("mlp_ratio", 4.0)?;
    let mut eps = json!(1e-5);
    if let Some(norm) = vision.get("norm_kwargs") {
        let unknown = norm.as_object().and_then(|norm| norm.keys().find(|key| *key != "eps"));
        eps = match (norm.get("eps"), unknown) {
            (Some(eps), None) if eps.is_number() => eps.clone(),
            _ => return Err(not_clip(format!("its norm_kwargs are {norm}"))),
        };
    }
    Ok(json!({
        "hidden_size": width,
        "intermediate_size": (width as f64 * ratio) as u64,
        "num_hidden_layers": vision.size("layers", Some(12))?,
        "num_attention_heads": width / head,
        "patch_size": vision.get("patch_size").unwrap_or(&json!(16)),
        "image_size": vision.get("image_size").unwrap_or(&json!(224)),
        "hidden_act": if model.flag("quick_gelu")? { "quick_gelu" } else { "gelu" },
        "layer_norm_eps": eps,
    }))
}

fn preprocessor(config: &Part, image_size: &Value) -> Result<Value> {
    if let Some(mode) = config.get("mode")
        && mode != "RGB"
    {
        return Err(not_clip(format!("its images are of mode {mode}")));
    }
    let resample = match config.word("interpolation", "bicubic")? {
        // Random is for training, and bicubic otherwise.
        "bicubic" | "random" => 3,
        "bilinear" => 2,
        other => return Err(nonsense(format!("interpolation is '{other}', which open_clip does not have"))),
    };
    let [height, width] = match image_size.as_array().map(Vec::as_slice) {
        Some([height, width]) => [height, width],
        _ => [image_size; 2],
    };
    let both = json!({ "height": height, "width": width });
    let (size, crop) = match config.word("resize_mode", "shortest")? {
        "shortest" if height == width => (json!({ "shortest_edge": height }), true),
        "shortest" => return Err(not_clip(format!("it crops to {height} x {width}, which is not square"))),
        "squash" => (both.clone(), false),
        "longest" => return Err(not_clip("its resize_mode is 'longest', which pads images")),
        other => return Err(nonsense(format!("resize_mode is '{other}', which open_clip does not have"))),
    };
    let mut processor = json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true,
        "size": size,
        "resample": resample,
        "do_center_crop": crop,
        "crop_size": both,
    });
    // CLIP's own, where they are not given.
    for (key, name) in [("mean", "image_mean"), ("std", "image_std")] {
        if let Some(value) = config.get(key) {
            processor[name] = value.clone();
        }
    }
    Ok(processor)
}

fn nonsense(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, why).hint("compare the file with the published checkpoint's")
}

fn not_clip(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::UnknownModel, why).hint(
        "of open_clip's models those with a plain vision transformer are read: the class token's output, projected, of \
         images that are cropped or squashed to a square",
    )
}

/// An object of the file.
struct Part {
    name: &'static str,
    map: Map<String, Value>,
}

impl Part {
    /// A value; `null` is as good as absent.
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Refuses keys besides `known` that are switched on: they would change the model.
    fn refuse_others(&self, known: &[&str]) -> Result<()> {
        let off = |key: &str, value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(word) => key == "block_type" && word == "default",
            _ => false,
        };
        match self.map.iter().find(|(key, value)| !known.contains(&key.as_str()) && !off(key, value)) {
            None => Ok(()),
            Some((key, value)) => Err(not_clip(format!("its {} has {key}: {value}", self.name))),
        }
    }

    fn size(&self, key: &str, default: Option<u64>) -> Result<u64> {
        let wrong = || nonsense(format!("{}: {key} is not a number above 0", self.name));
        match self.get(key) {
            None => default.ok_or_else(|| nonsense(format!("{} has no {key}", self.name))),
            Some(value) => value.as_u64().filter(|n| *n > 0).ok_or_else(wrong),
        }
    }

    fn number(&self, key: &str, default: f64) -> Result<f64> {
        let wrong = || nonsense(format!("{}: {key} is not a number", self.name));
        self.get(key).map_or(Ok(default), |value| value.as_f64().ok_or_else(wrong))
    }

    fn flag(&self, key: &str) -> Result<bool> {
        let wrong = || nonsense(format!("{}: {key} is not true or false", self.name));
        self.get(key).map_or(Ok(false), |value| value.as_bool().ok_or_else(wrong))
    }

    fn word<'a>(&'a self, key: &str, default: &'static str) -> Result<&'a str> {
        let wrong = || nonsense(format!("{}: {key} is not a word", self.name));
        self.get(key).map_or(Ok(default), |value| value.as_str().ok_or_else(wrong))
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::preprocess::{ResizeTarget, Size, from_preprocessor_config};

    use super::*;

    fn config(vision: &Value, preprocess: &Value) -> Value {
        json!({ "model_cfg": { "embed_dim": 512, "vision_cfg": vision, "text_cfg": {} }, "preprocess_cfg": preprocess })
    }

    #[test]
    fn absent_keys_have_the_defaults_of_open_clip() {
        let given = translate(&config(&json!({}), &json!(null))).unwrap();
        assert_eq!(
            given.config,
            json!({
                "model_type": "clip",
                "projection_dim": 512,
                "vision_config": {
                    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
                    "patch_size": 16, "image_size": 224, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
                },
            })
        );
        let clip = from_preprocessor_config(&json!({ "image_processor_type": "CLIPImageProcessor" })).unwrap();
        assert_eq!(from_preprocessor_config(&given.preprocessor).unwrap(), clip);
    }

    #[test]
    fn images_are_cropped_or_squashed() {
        let given = |preprocess: Value| {
            let given = translate(&config(&json!({ "image_size": 384 }), &preprocess)).unwrap();
            from_preprocessor_config(&given.preprocessor).unwrap()
        };
        let squashed = given(json!({
            "size": 224, "mode": "RGB", "interpolation": "bilinear", "resize_mode": "squash", "mean": 0.5, "std": [0.5, 0.4, 0.3],
        }));
        let resize = squashed.resize.unwrap();
        assert_eq!(resize.target, ResizeTarget::Exact(Size { height: 384, width: 384 }));
        assert_eq!(resize.filter, imbed_core::image::Filter::Bilinear);
        assert_eq!(squashed.center_crop, None);
        assert_eq!((squashed.normalize.mean, squashed.normalize.std), ([0.5; 3], [0.5, 0.4, 0.3]));
        let cropped = given(json!({ "resize_mode": "shortest", "interpolation": "random" }));
        assert_eq!(cropped.resize.unwrap().target, ResizeTarget::ShortestEdge(384));
        assert_eq!(cropped.center_crop, Some(Size { height: 384, width: 384 }));
    }

    #[test]
    fn what_clip_has_no_words_for_is_refused_by_name() {
        for (vision, preprocess, part) in [
            (json!({ "timm_model_name": "vit_base_patch16_siglip_224" }), json!({}), "vit_base_patch16_siglip_224"),
            (json!({ "layers": [3, 4, 6, 3] }), json!({}), "ResNet"),
            (json!({ "pool_type": "avg" }), json!({}), "pool_type"),
            (json!({ "attentional_pool": true }), json!({}), "attentional_pool"),
            (json!({ "no_ln_pre": true }), json!({}), "no_ln_pre"),
            (json!({ "ls_init_value": 1e-5 }), json!({}), "ls_init_value"),
            (json!({ "act_kwargs": { "approximate": "tanh" } }), json!({}), "approximate"),
            (json!({ "norm_kwargs": { "elementwise_affine": false } }), json!({}), "elementwise_affine"),
            (json!({ "a_new_key": 1 }), json!({}), "a_new_key"),
            (json!({}), json!({ "resize_mode": "longest" }), "longest"),
            (json!({ "image_size": [224, 112] }), json!({}), "not square"),
        ] {
            let error = translate(&config(&vision, &preprocess)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownModel, "{error}");
            assert!(error.message().contains(part) && error.hint_text().is_some(), "{error}");
        }
    }

    #[test]
    fn what_is_switched_off_or_means_nothing_here_is_read_over() {
        let vision = json!({
            "ls_init_value": null, "qk_norm": false, "block_type": "default", "patch_dropout": 0.5, "timm_pool": "avg",
            "output_tokens": true, "norm_kwargs": { "eps": 1e-6 }, "pool_type": "tok", "final_ln_after_pool": true,
        });
        let given = translate(&config(&vision, &json!({ "fill_color": 0, "other": 1 }))).unwrap();
        assert_eq!(given.config["vision_config"]["layer_norm_eps"], 1e-6);
    }

    #[test]
    fn nonsense_is_an_error_that_names_the_key() {
        for (vision, preprocess, key) in [
            (json!({ "width": 0 }), json!({}), "width"),
            (json!({ "head_width": "wide" }), json!({}), "head_width"),
            (json!({ "mlp_ratio": "wide" }), json!({}), "mlp_ratio"),
            (json!({}), json!({ "interpolation": "nearest" }), "interpolation"),
            (json!({}), json!({ "resize_mode": 3 }), "resize_mode"),
            (json!([]), json!({}), "vision_cfg"),
            (json!({}), json!(3), "preprocess_cfg"),
        ] {
            let error = translate(&config(&vision, &preprocess)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Model, "{error}");
            assert!(error.message().contains(key), "{error}");
        }
        assert!(translate(&json!({})).unwrap_err().message().contains("model_cfg"));
        assert!(translate(&json!({ "model_cfg": { "vision_cfg": {} } })).unwrap_err().message().contains("embed_dim"));
    }

    #[test]
    fn a_config_of_transformers_comes_first_and_one_of_timm_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert!(!describes(folder.path()));
        write(CONFIG, "{}");
        assert!(describes(folder.path()));
        write("config.json", r#"{"architecture": "vit_base_patch32_clip_224"}"#);
        assert!(describes(folder.path()));
        for config in [r#"{"model_type": "clip"}"#, "{ broken"] {
            write("config.json", config);
            assert!(!describes(folder.path()), "{config}");
        }
    }
}
