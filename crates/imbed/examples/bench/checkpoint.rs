//! Checkpoints as large as the published ones, with seeded weights.
//!
//! Weights are drawn as wide as their inputs are many, wider than transformers' own initialisation: with its standard
//! deviation of 0.02 everywhere, vectors hardly depend on the image, and a wrong model would come close to a right one.

use std::{fs, path::Path};

use imbed::core::{Error, Result};
use serde_json::{Value, json};

use super::{
    tensors::{self, Tensor},
    wrong,
};

const SEED: u64 = 20_240_917;
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
const BICUBIC: u32 = 3;

/// The size of one tower.
#[derive(Clone, Copy)]
struct Tower {
    hidden: usize,
    layers: usize,
    heads: usize,
}

impl Tower {
    fn middle(self) -> usize {
        4 * self.hidden
    }
}

struct Checkpoint {
    config: Value,
    preprocessor: Value,
    tensors: Vec<Tensor>,
}

/// Writes `config.json`, `preprocessor_config.json` and `model.safetensors` to `folder`, which is made.
pub(crate) fn write(name: &str, folder: &Path) -> Result<Value> {
    let checkpoint = match name {
        "clip-vit-b32" => {
            clip(32, Tower { hidden: 768, layers: 12, heads: 12 }, Tower { hidden: 512, layers: 12, heads: 8 }, 512)
        }
        "clip-vit-b16" => {
            clip(16, Tower { hidden: 768, layers: 12, heads: 12 }, Tower { hidden: 512, layers: 12, heads: 8 }, 512)
        }
        "clip-vit-l14" => {
            clip(14, Tower { hidden: 1024, layers: 24, heads: 16 }, Tower { hidden: 768, layers: 12, heads: 12 }, 768)
        }
        "siglip-b16" => siglip(),
        "dinov2-b" => dinov2(),
        _ => {
            return Err(wrong(format!(
                "no checkpoint is called '{name}'; they are clip-vit-b32, clip-vit-b16, clip-vit-l14, siglip-b16, dinov2-b"
            )));
        }
    };
    fs::create_dir_all(folder).map_err(|e| Error::io(folder.display(), e))?;
    for (file, value) in [("config.json", &checkpoint.config), ("preprocessor_config.json", &checkpoint.preprocessor)] {
        let path = folder.join(file);
        fs::write(&path, format!("{value:#}\n")).map_err(|e| Error::io(path.display(), e))?;
    }
    tensors::write(&folder.join("model.safetensors"), &checkpoint.tensors, SEED)?;
    let parameters: usize = checkpoint.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
    Ok(json!({ "checkpoint": name, "parameters": parameters }))
}

fn clip(patch: usize, vision: Tower, text: Tower, projection: usize) -> Checkpoint {
    let (side, words, positions) = (224, 49_408, 77);
    let mut t = Vec::new();
    scalar(&mut t, "logit_scale", &[], 4.6);
    draw(&mut t, "text_model.embeddings.token_embedding.weight", &[words, text.hidden], 0.02);
    draw(&mut t, "text_model.embeddings.position_embedding.weight", &[positions, text.hidden], 0.01);
    blocks(&mut t, "text_model.encoder.layers", text);
    norm(&mut t, "text_model.final_layer_norm", text.hidden);
    draw(&mut t, "text_projection.weight", &[projection, text.hidden], wide(text.hidden));
    draw(&mut t, "vision_model.embeddings.class_embedding", &[vision.hidden], 0.1);
    let pixels = 3 * patch * patch;
    draw(&mut t, "vision_model.embeddings.patch_embedding.weight", &[vision.hidden, 3, patch, patch], wide(pixels));
    let tokens = (side / patch) * (side / patch) + 1;
    draw(&mut t, "vision_model.embeddings.position_embedding.weight", &[tokens, vision.hidden], 0.3);
    norm(&mut t, "vision_model.pre_layrnorm", vision.hidden);
    blocks(&mut t, "vision_model.encoder.layers", vision);
    norm(&mut t, "vision_model.post_layernorm", vision.hidden);
    draw(&mut t, "visual_projection.weight", &[projection, vision.hidden], wide(vision.hidden));
    let tower = |kind: &str, tower: Tower| {
        json!({
            "model_type": kind, "hidden_size": tower.hidden, "intermediate_size": tower.middle(),
            "num_hidden_layers": tower.layers, "num_attention_heads": tower.heads, "projection_dim": projection,
            "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        })
    };
    let mut text_config = tower("clip_text_model", text);
    extend(
        &mut text_config,
        json!({
            "vocab_size": words, "max_position_embeddings": positions,
            "bos_token_id": 49_406, "eos_token_id": 49_407, "pad_token_id": 1,
        }),
    );
    let mut vision_config = tower("clip_vision_model", vision);
    extend(&mut vision_config, json!({ "image_size": side, "patch_size": patch, "num_channels": 3 }));
    Checkpoint {
        config: json!({
            "architectures": ["CLIPModel"], "model_type": "clip", "dtype": "float32", "projection_dim": projection,
            "logit_scale_init_value": 2.6592, "text_config": text_config, "vision_config": vision_config,
        }),
        preprocessor: processor(
            "CLIPImageProcessor",
            json!({
                "do_center_crop": true, "crop_size": square(side), "size": { "shortest_edge": side },
                "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
            }),
        ),
        tensors: t,
    }
}

fn siglip() -> Checkpoint {
    let (side, patch, words, positions) = (224, 16, 32_000, 64);
    let tower = Tower { hidden: 768, layers: 12, heads: 12 };
    let hidden = tower.hidden;
    let mut t = Vec::new();
    scalar(&mut t, "logit_scale", &[1], 4.7);
    scalar(&mut t, "logit_bias", &[1], -16.5);
    draw(&mut t, "text_model.embeddings.token_embedding.weight", &[words, hidden], 0.02);
    draw(&mut t, "text_model.embeddings.position_embedding.weight", &[positions, hidden], 0.01);
    blocks(&mut t, "text_model.encoder.layers", tower);
    norm(&mut t, "text_model.final_layer_norm", hidden);
    linear(&mut t, "text_model.head", hidden, hidden);
    draw(&mut t, "vision_model.embeddings.patch_embedding.weight", &[hidden, 3, patch, patch], wide(3 * patch * patch));
    draw(&mut t, "vision_model.embeddings.patch_embedding.bias", &[hidden], 0.1);
    draw(&mut t, "vision_model.embeddings.position_embedding.weight", &[(side / patch) * (side / patch), hidden], 0.3);
    blocks(&mut t, "vision_model.encoder.layers", tower);
    norm(&mut t, "vision_model.post_layernorm", hidden);
    draw(&mut t, "vision_model.head.probe", &[1, 1, hidden], 1.0);
    draw(&mut t, "vision_model.head.attention.in_proj_weight", &[3 * hidden, hidden], wide(hidden));
    draw(&mut t, "vision_model.head.attention.in_proj_bias", &[3 * hidden], 0.1);
    linear(&mut t, "vision_model.head.attention.out_proj", hidden, hidden);
    norm(&mut t, "vision_model.head.layernorm", hidden);
    linear(&mut t, "vision_model.head.mlp.fc1", hidden, tower.middle());
    linear(&mut t, "vision_model.head.mlp.fc2", tower.middle(), hidden);
    let config = |kind: &str| {
        json!({
            "model_type": kind, "hidden_size": hidden, "intermediate_size": tower.middle(),
            "num_hidden_layers": tower.layers, "num_attention_heads": tower.heads,
            "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
        })
    };
    let mut text_config = config("siglip_text_model");
    extend(
        &mut text_config,
        json!({
            "vocab_size": words, "max_position_embeddings": positions, "projection_size": hidden,
            "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1,
        }),
    );
    let mut vision_config = config("siglip_vision_model");
    extend(
        &mut vision_config,
        json!({ "image_size": side, "patch_size": patch, "num_channels": 3, "vision_use_head": true }),
    );
    Checkpoint {
        config: json!({
            "architectures": ["SiglipModel"], "model_type": "siglip", "dtype": "float32",
            "text_config": text_config, "vision_config": vision_config,
        }),
        preprocessor: processor(
            "SiglipImageProcessor",
            json!({
                "size": square(side), "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
            }),
        ),
        tensors: t,
    }
}

fn dinov2() -> Checkpoint {
    let (side, patch) = (518, 14);
    let tower = Tower { hidden: 768, layers: 12, heads: 12 };
    let hidden = tower.hidden;
    let mut t = Vec::new();
    draw(&mut t, "embeddings.cls_token", &[1, 1, hidden], 0.1);
    draw(&mut t, "embeddings.mask_token", &[1, hidden], 0.1);
    draw(&mut t, "embeddings.position_embeddings", &[1, (side / patch) * (side / patch) + 1, hidden], 0.3);
    draw(&mut t, "embeddings.patch_embeddings.projection.weight", &[hidden, 3, patch, patch], wide(3 * patch * patch));
    draw(&mut t, "embeddings.patch_embeddings.projection.bias", &[hidden], 0.1);
    for layer in 0..tower.layers {
        let at = |part: &str| format!("encoder.layer.{layer}.{part}");
        norm(&mut t, &at("norm1"), hidden);
        for part in ["query", "key", "value"] {
            linear(&mut t, &at(&format!("attention.attention.{part}")), hidden, hidden);
        }
        linear(&mut t, &at("attention.output.dense"), hidden, hidden);
        around(&mut t, &at("layer_scale1.lambda1"), &[hidden], 0.5, 0.2);
        norm(&mut t, &at("norm2"), hidden);
        linear(&mut t, &at("mlp.fc1"), hidden, tower.middle());
        linear(&mut t, &at("mlp.fc2"), tower.middle(), hidden);
        around(&mut t, &at("layer_scale2.lambda1"), &[hidden], 0.5, 0.2);
    }
    norm(&mut t, "layernorm", hidden);
    Checkpoint {
        config: json!({
            "architectures": ["Dinov2Model"], "model_type": "dinov2", "dtype": "float32",
            "hidden_size": hidden, "num_hidden_layers": tower.layers, "num_attention_heads": tower.heads,
            "mlp_ratio": 4, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": side, "patch_size": patch, "num_channels": 3,
            "qkv_bias": true, "layerscale_value": 1.0, "use_swiglu_ffn": false, "use_mask_token": true,
        }),
        preprocessor: processor(
            "BitImageProcessor",
            json!({
                "do_center_crop": true, "crop_size": square(224), "size": { "shortest_edge": 256 },
                "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
            }),
        ),
        tensors: t,
    }
}

/// The blocks of CLIP and of `SigLIP`.
fn blocks(t: &mut Vec<Tensor>, path: &str, tower: Tower) {
    for layer in 0..tower.layers {
        let at = |part: &str| format!("{path}.{layer}.{part}");
        norm(t, &at("layer_norm1"), tower.hidden);
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            linear(t, &at(&format!("self_attn.{part}")), tower.hidden, tower.hidden);
        }
        norm(t, &at("layer_norm2"), tower.hidden);
        linear(t, &at("mlp.fc1"), tower.hidden, tower.middle());
        linear(t, &at("mlp.fc2"), tower.middle(), tower.hidden);
    }
}

fn linear(t: &mut Vec<Tensor>, path: &str, inputs: usize, outputs: usize) {
    draw(t, &format!("{path}.weight"), &[outputs, inputs], wide(inputs));
    draw(t, &format!("{path}.bias"), &[outputs], 0.1);
}

fn norm(t: &mut Vec<Tensor>, path: &str, width: usize) {
    around(t, &format!("{path}.weight"), &[width], 1.0, 0.15);
    draw(t, &format!("{path}.bias"), &[width], 0.1);
}

fn draw(t: &mut Vec<Tensor>, name: &str, shape: &[usize], deviation: f32) {
    around(t, name, shape, 0.0, deviation);
}

fn scalar(t: &mut Vec<Tensor>, name: &str, shape: &[usize], value: f32) {
    around(t, name, shape, value, 0.0);
}

fn around(t: &mut Vec<Tensor>, name: &str, shape: &[usize], mean: f32, deviation: f32) {
    t.push(Tensor { name: name.to_owned(), shape: shape.to_vec(), mean, deviation });
}

/// The standard deviation with which a sum over so many inputs is about as wide as they are.
fn wide(inputs: usize) -> f32 {
    1.0 / (inputs as f32).sqrt()
}

fn processor(kind: &str, more: Value) -> Value {
    let mut processor = json!({
        "image_processor_type": kind, "do_convert_rgb": true, "do_resize": true, "resample": BICUBIC,
        "do_rescale": true, "rescale_factor": 1.0 / 255.0, "do_normalize": true,
    });
    extend(&mut processor, more);
    processor
}

fn square(side: usize) -> Value {
    json!({ "height": side, "width": side })
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
