//! From what a graph of somebody else's making gives for a batch to one vector per image.
//!
//! A checkpoint of a known family says how its tokens become a vector. An exported graph is a function of pixels alone:
//! what its output is, the shape tells in part, `config.json` beside it in part, and the user the rest.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// The names that transformers gives to outputs that may be an embedding, the preferred first: the projected vector of a
/// model of images and texts, what a pooling head made of the tokens, and the tokens.
pub const OUTPUTS: [&str; 3] = ["image_embeds", "pooler_output", "last_hidden_state"];

/// Model types of `config.json` whose first token stands for the image.
const CLASS_TOKEN: [&str; 9] = [
    "clip",
    "clip_vision_model",
    "vit",
    "deit",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
    "vit_mae",
    "chinese_clip",
];
/// Model types whose tokens are all patches.
const PATCHES_ONLY: [&str; 5] = ["siglip", "siglip_vision_model", "siglip2", "swin", "swinv2"];

/// What an output holds for each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The vector, `[N, D]`, perhaps with further axes of length 1.
    Vector,
    /// Tokens, `[N, T, D]`, of which this one is the vector.
    Token(usize),
    /// Tokens, `[N, T, D]`, of which the mean over all but the first ones is the vector.
    MeanAfter(usize),
    /// A map, `[N, D, H, W]`, whose mean over the places is the vector.
    MapChannelFirst,
    /// A map, `[N, H, W, D]`, whose mean over the places is the vector.
    MapChannelLast,
}

impl Form {
    /// Writes the vectors of the first images of `values`, which has this shape, into `out`, `[images, width]`.
    ///
    /// `name` is the output's, for the error of a shape that is not of this form.
    pub fn read(self, name: &str, values: &[f32], shape: &[usize], width: usize, out: &mut [f32]) -> Result<()> {
        let images = out.len() / width;
        let of_image = shape.get(1..).unwrap_or_default();
        let per_image: usize = of_image.iter().product();
        let given = shape.first().copied().unwrap_or_default();
        if given < images || given * per_image != values.len() || !self.fits(of_image, width) {
            let message =
                format!("the output '{name}' came with the shape {shape:?}, which is no {}", self.what(width));
            return Err(Error::new(ErrorKind::Dimensions, message).hint(
                "the graph or config.json states another width or form; see --option embedding_width and --pooling",
            ));
        }
        for (vector, image) in out.chunks_exact_mut(width).zip(values.chunks_exact(per_image)) {
            match self {
                Self::Vector => vector.copy_from_slice(image),
                Self::Token(token) => vector.copy_from_slice(&image[token * width..][..width]),
                Self::MeanAfter(first) => mean_rows(&image[first * width..], vector),
                Self::MapChannelLast => mean_rows(image, vector),
                Self::MapChannelFirst => mean_planes(image, vector),
            }
        }
        Ok(())
    }

    /// Whether one image's part of the output has this form.
    fn fits(self, of_image: &[usize], width: usize) -> bool {
        match (self, of_image) {
            (Self::Vector, [first, rest @ ..]) => *first == width && rest.iter().all(|length| *length == 1),
            (Self::Token(first) | Self::MeanAfter(first), [tokens, last]) => *tokens > first && *last == width,
            (Self::MapChannelFirst, [channels, rows, columns]) | (Self::MapChannelLast, [rows, columns, channels]) => {
                *channels == width && rows * columns > 0
            }
            _ => false,
        }
    }

    fn what(self, width: usize) -> String {
        match self {
            Self::Vector => format!("batch of vectors of {width} numbers"),
            Self::Token(_) => format!("batch of tokens of {width} numbers"),
            Self::MeanAfter(first) => format!("batch of more than {first} tokens of {width} numbers"),
            Self::MapChannelFirst | Self::MapChannelLast => format!("batch of maps of {width} channels"),
        }
    }
}

/// The mean of the rows, summed in f64.
fn mean_rows(rows: &[f32], mean: &mut [f32]) {
    let width = mean.len();
    let count = (rows.len() / width) as f64;
    for (column, mean) in mean.iter_mut().enumerate() {
        let sum: f64 = rows.iter().skip(column).step_by(width).map(|x| f64::from(*x)).sum();
        *mean = (sum / count) as f32;
    }
}

/// The mean of each plane, summed in f64.
fn mean_planes(planes: &[f32], means: &mut [f32]) {
    let places = planes.len() / means.len();
    for (plane, mean) in planes.chunks_exact(places).zip(means) {
        *mean = (plane.iter().map(|x| f64::from(*x)).sum::<f64>() / places as f64) as f32;
    }
}

/// Whether the first token stands for the image, where the model's type in `config`, a `config.json`, tells.
pub fn has_class_token(config: Option<&Value>) -> Option<bool> {
    let kind = config?.get("model_type")?.as_str()?;
    if CLASS_TOKEN.contains(&kind) { Some(true) } else { PATCHES_ONLY.contains(&kind).then_some(false) }
}

/// Tokens before those of the patches in `output`: what was asked, or what `config`, a `config.json`, tells.
pub fn prefix_tokens(output: &str, asked: Option<usize>, config: Option<&Value>) -> Result<usize> {
    if let Some(tokens) = asked {
        return Ok(tokens);
    }
    let registers = config.and_then(|c| c.get("num_register_tokens")?.as_u64()).unwrap_or(0);
    match has_class_token(config) {
        Some(true) => Ok(1 + registers as usize),
        Some(false) => Ok(0),
        None => {
            let message = format!("nothing says how many of the tokens of {output} stand before those of the patches");
            Err(Error::new(ErrorKind::Unsupported, message)
                .hint("say it: --option prefix_tokens=1 with a class token, prefix_tokens=0 without"))
        }
    }
}

/// The error for tokens that nothing says how to pool.
pub fn no_pooling(output: &str) -> Error {
    let message = format!("the output {output} is tokens, and nothing says how they become a vector");
    Error::new(ErrorKind::Unsupported, message)
        .hint("say it as the model was trained: --pooling cls (the first token) or --pooling mean")
}

/// The width of a vector as `config`, a `config.json`, has it: a projected one's (`image_embeds`) or a token's.
pub fn width_in_config(projected: bool, config: Option<&Value>) -> Option<usize> {
    let config = config?;
    let key = if projected { "projection_dim" } else { "hidden_size" };
    let parts = [Some(config), config.get("vision_config")];
    parts.into_iter().flatten().find_map(|part| part.get(key)?.as_u64().and_then(|n| usize::try_from(n).ok()))
}

/// Whether vectors may have so many numbers. More would be somebody's mistake, and take absurd memory.
pub fn is_plausible_width(width: usize) -> bool {
    (1..=1 << 20).contains(&width)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pooled(form: Form, shape: &[usize], images: usize) -> Result<Vec<f32>> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
        let mut out = vec![f32::NAN; images * 2];
        form.read("y", &values, shape, 2, &mut out).map(|()| out)
    }

    #[test]
    fn each_form_gives_its_vector() {
        assert_eq!(pooled(Form::Vector, &[2, 2], 2).unwrap(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(pooled(Form::Vector, &[1, 2, 1, 1], 1).unwrap(), [0.0, 1.0]);
        assert_eq!(pooled(Form::Token(0), &[2, 3, 2], 2).unwrap(), [0.0, 1.0, 6.0, 7.0]);
        assert_eq!(pooled(Form::MeanAfter(1), &[1, 3, 2], 1).unwrap(), [3.0, 4.0]);
        assert_eq!(pooled(Form::MeanAfter(0), &[1, 3, 2], 1).unwrap(), [2.0, 3.0]);
        assert_eq!(pooled(Form::MapChannelFirst, &[1, 2, 2, 2], 1).unwrap(), [1.5, 5.5]);
        assert_eq!(pooled(Form::MapChannelLast, &[1, 2, 2, 2], 1).unwrap(), [3.0, 4.0]);
    }

    #[test]
    fn images_that_only_fill_the_batch_are_left_out() {
        assert_eq!(pooled(Form::Vector, &[4, 2], 1).unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn an_output_of_another_shape_than_announced_is_refused() {
        for (form, shape) in [
            (Form::Vector, &[2, 3][..]),
            (Form::Vector, &[1, 2]),
            (Form::Vector, &[2, 2, 2]),
            (Form::Vector, &[]),
            (Form::Token(0), &[2, 0, 2]),
            (Form::Token(0), &[2, 2]),
            (Form::MeanAfter(3), &[2, 3, 2]),
            (Form::MapChannelFirst, &[2, 2, 0, 3]),
            (Form::MapChannelLast, &[2, 3, 3, 4]),
        ] {
            assert_eq!(pooled(form, shape, 2).unwrap_err().kind(), ErrorKind::Dimensions, "{form:?} {shape:?}");
        }
    }

    #[test]
    fn tokens_before_the_patches_are_asked_for_or_read_or_an_error() {
        let registers = json!({ "model_type": "dinov2_with_registers", "num_register_tokens": 4 });
        assert_eq!(prefix_tokens("y", None, Some(&registers)).unwrap(), 5);
        assert_eq!(prefix_tokens("y", Some(2), Some(&registers)).unwrap(), 2);
        assert_eq!(prefix_tokens("y", None, Some(&json!({ "model_type": "swin" }))).unwrap(), 0);
        assert!(prefix_tokens("y", None, None).unwrap_err().hint_text().unwrap().contains("prefix_tokens"));
    }

    #[test]
    fn a_width_in_the_config_is_the_projections_or_a_tokens() {
        let clip = json!({ "projection_dim": 48, "vision_config": { "hidden_size": 64 } });
        assert_eq!(width_in_config(true, Some(&clip)), Some(48));
        assert_eq!(width_in_config(false, Some(&clip)), Some(64));
        assert_eq!(width_in_config(true, Some(&json!({}))), None);
    }
}
