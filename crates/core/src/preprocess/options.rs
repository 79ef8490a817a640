//! A recipe that the user says, whole or step by step, for models that carry none or a wrong one.

use serde_json::Value;

use super::{MAX_SIDE, Normalize, Preprocess, Resize, ResizeTarget, Size, from_preprocessor_config};
use crate::{Error, ErrorKind, Result, image::Filter, options::OptionSpec};

/// Steps of a recipe that the user sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecipeOptions {
    /// The option `resize`.
    pub resize: Step<ResizeTarget>,
    /// The option `resample`.
    pub resample: Option<Filter>,
    /// The option `crop`.
    pub crop: Step<Size>,
    /// The option `mean`.
    pub mean: Option<[f64; 3]>,
    /// The option `std`.
    pub std: Option<[f64; 3]>,
    /// The option `rescale`.
    pub rescale: Option<f64>,
}

/// What the user says about a step that may be left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step<T> {
    /// Nothing.
    #[default]
    Unsaid,
    /// The word `none`.
    Without,
    /// Do it so.
    With(T),
}

const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

impl RecipeOptions {
    /// The options, for the list of a provider that takes them.
    pub const SPECS: [OptionSpec; 6] = [
        OptionSpec {
            name: "resize",
            values: "N | HxW | none",
            summary: "the length of the shorter side, or a height and width (default: preprocessor_config.json)",
        },
        OptionSpec {
            name: "resample",
            values: "nearest | box | bilinear | hamming | bicubic | lanczos",
            summary: "the filter of the resize (default: preprocessor_config.json)",
        },
        OptionSpec {
            name: "crop",
            values: "N | HxW | none",
            summary: "the size cut from the middle after the resize (default: preprocessor_config.json, or none)",
        },
        OptionSpec {
            name: "mean",
            values: "a number | R,G,B | imagenet | clip",
            summary: "taken from each channel after rescale (default: preprocessor_config.json)",
        },
        OptionSpec {
            name: "std",
            values: "a number | R,G,B | imagenet | clip",
            summary: "what each channel is divided by after that (default: preprocessor_config.json)",
        },
        OptionSpec {
            name: "rescale",
            values: "a number",
            summary: "the factor on bytes from 0 to 255 (default: preprocessor_config.json, or 1/255)",
        },
    ];

    /// Sets the option `name` of [`SPECS`](Self::SPECS); `None` where `text` is nothing that it takes, or it is none of them.
    pub fn set(&mut self, name: &str, text: &str) -> Option<()> {
        match name {
            "resize" => self.resize = step(text, resize_target)?,
            "resample" => self.resample = Some(filter(text)?),
            "crop" => self.crop = step(text, size)?,
            "mean" => self.mean = Some(triple(text, &[("imagenet", IMAGENET_MEAN), ("clip", CLIP_MEAN)])?),
            "std" => {
                let std = triple(text, &[("imagenet", IMAGENET_STD), ("clip", CLIP_STD)])?;
                self.std = Some((!std.contains(&0.0)).then_some(std)?);
            }
            "rescale" => self.rescale = Some(text.parse().ok().filter(|factor: &f64| factor.is_finite())?),
            _ => return None,
        }
        Some(())
    }

    /// The recipe of `config`, a `preprocessor_config.json`, with these steps changed, or of the options alone; never a guess.
    ///
    /// `normalizes` says that the numbers are normalised outside the model, so that mean and deviation must be known.
    pub fn recipe(&self, config: Option<&Value>, normalizes: bool) -> Result<Preprocess> {
        match config {
            Some(config) => self.changed(from_preprocessor_config(config)?),
            None => self.alone(normalizes),
        }
    }

    fn changed(&self, mut recipe: Preprocess) -> Result<Preprocess> {
        match self.resize {
            Step::Without => recipe.resize = None,
            Step::With(target) => {
                let filter = self.resample.or(recipe.resize.map(|resize| resize.filter));
                recipe.resize = Some(Resize { target, filter: filter.ok_or_else(|| missing("resample"))? });
            }
            Step::Unsaid => {
                if let (Some(filter), Some(resize)) = (self.resample, &mut recipe.resize) {
                    resize.filter = filter;
                }
            }
        }
        match self.crop {
            Step::Unsaid => {}
            Step::Without => recipe.center_crop = None,
            Step::With(size) => recipe.center_crop = Some(size),
        }
        let normalize = &mut recipe.normalize;
        normalize.mean = self.mean.unwrap_or(normalize.mean);
        normalize.std = self.std.unwrap_or(normalize.std);
        normalize.scale = self.rescale.unwrap_or(normalize.scale);
        Ok(recipe)
    }

    fn alone(&self, normalizes: bool) -> Result<Preprocess> {
        let resize = match self.resize {
            Step::Unsaid => return Err(missing("resize")),
            Step::Without => None,
            Step::With(target) => Some(Resize { target, filter: self.resample.ok_or_else(|| missing("resample"))? }),
        };
        let center_crop = match self.crop {
            Step::With(size) => Some(size),
            Step::Unsaid | Step::Without => None,
        };
        let normalize = if normalizes {
            Normalize {
                scale: self.rescale.unwrap_or(1.0 / 255.0),
                mean: self.mean.ok_or_else(|| missing("mean"))?,
                std: self.std.ok_or_else(|| missing("std"))?,
            }
        } else {
            Normalize::NONE
        };
        Ok(Preprocess { resize, center_crop, normalize })
    }
}

fn missing(option: &str) -> Error {
    let message = format!(
        "there is no preprocessor_config.json beside the model or in the folder above, and no option '{option}'"
    );
    Error::new(ErrorKind::BadOption, message).hint(
        "put the model's file there, or say how it was trained, such as --option resize=256 --option resample=bilinear \
         --option crop=224 --option mean=imagenet --option std=imagenet",
    )
}

fn filter(text: &str) -> Option<Filter> {
    Filter::ALL.into_iter().find(|filter| format!("{filter:?}").eq_ignore_ascii_case(text))
}

fn step<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Step<T>> {
    if text == "none" { Some(Step::Without) } else { read(text).map(Step::With) }
}

fn resize_target(text: &str) -> Option<ResizeTarget> {
    match side(text) {
        Some(edge) => Some(ResizeTarget::ShortestEdge(edge)),
        None => size(text).map(ResizeTarget::Exact),
    }
}

/// `224` or `224x224`, height first.
fn size(text: &str) -> Option<Size> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    Some(Size { height: side(height)?, width: side(width)? })
}

/// A side in pixels, within what `preprocessor_config.json` may ask for too.
fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side))
}

fn triple(text: &str, words: &[(&str, [f64; 3])]) -> Option<[f64; 3]> {
    if let Some((_, triple)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*triple);
    }
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers = text.split(',').map(number).collect::<Option<Vec<f64>>>()?;
    match numbers.as_slice() {
        [one] => Some([*one; 3]),
        [red, green, blue] => Some([*red, *green, *blue]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, text: &str) -> RecipeOptions {
        let mut options = RecipeOptions::default();
        options.set(name, text).unwrap();
        options
    }

    fn full() -> RecipeOptions {
        RecipeOptions {
            resize: Step::With(ResizeTarget::ShortestEdge(256)),
            resample: Some(Filter::Bilinear),
            crop: Step::With(Size { height: 224, width: 224 }),
            mean: Some([0.5; 3]),
            std: Some([0.25; 3]),
            rescale: None,
        }
    }

    #[test]
    fn typed_values_are_read() {
        assert_eq!(read("resize", "256").resize, Step::With(ResizeTarget::ShortestEdge(256)));
        let exact = ResizeTarget::Exact(Size { height: 24, width: 40 });
        assert_eq!(read("resize", "24x40").resize, Step::With(exact));
        assert_eq!(read("resize", "none").resize, Step::Without);
        assert_eq!(read("crop", "224").crop, Step::With(Size { height: 224, width: 224 }));
        assert_eq!(read("mean", "0.5").mean, Some([0.5; 3]));
        assert_eq!(read("mean", "1, 2,3").mean, Some([1.0, 2.0, 3.0]));
        assert_eq!(read("std", "imagenet").std, Some(IMAGENET_STD));
        assert_eq!(read("resample", "lanczos").resample, Some(Filter::Lanczos));
        assert_eq!(read("rescale", "0.5").rescale, Some(0.5));
    }

    #[test]
    fn what_makes_no_sense_is_not_taken() {
        for (name, text) in [
            ("resize", "0"),
            ("resize", "1x2x3"),
            ("crop", "99999"),
            ("mean", "1,2"),
            ("mean", "nan"),
            ("std", "0"),
            ("rescale", "1/255"),
            ("resample", "cubic"),
            ("nobody", "1"),
        ] {
            assert!(RecipeOptions::default().set(name, text).is_none(), "{name}={text}");
        }
    }

    #[test]
    fn options_alone_are_enough_when_they_are_complete() {
        let recipe = full().recipe(None, true).unwrap();
        assert_eq!(recipe.to_string(), "RGB, shortest edge 256 bilinear, centre crop 224x224");
        assert_eq!(recipe.normalize, Normalize { scale: 1.0 / 255.0, mean: [0.5; 3], std: [0.25; 3] });
        let bytes = RecipeOptions { mean: None, std: None, ..full() };
        assert_eq!(bytes.recipe(None, false).unwrap().normalize, Normalize::NONE);
    }

    #[test]
    fn what_is_missing_is_named_and_never_guessed() {
        for (name, options) in [
            ("resize", RecipeOptions { resize: Step::Unsaid, ..full() }),
            ("resample", RecipeOptions { resample: None, ..full() }),
            ("mean", RecipeOptions { mean: None, ..full() }),
            ("std", RecipeOptions { std: None, ..full() }),
        ] {
            let error = options.recipe(None, true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
            assert!(error.message().contains(&format!("'{name}'")), "{error}");
        }
    }

    #[test]
    fn options_change_the_models_own_recipe_step_by_step() {
        let config = json!({ "image_processor_type": "CLIPImageProcessor" });
        let options = RecipeOptions { resample: Some(Filter::Lanczos), mean: Some([0.0; 3]), ..Default::default() };
        let recipe = options.recipe(Some(&config), true).unwrap();
        assert_eq!(recipe.to_string(), "RGB, shortest edge 224 lanczos, centre crop 224x224");
        assert_eq!(recipe.normalize.mean, [0.0; 3]);
        assert_eq!(recipe.normalize.std, [0.268_629_54, 0.261_302_58, 0.275_777_11]);
        let none = RecipeOptions { resize: Step::Without, ..Default::default() };
        assert_eq!(none.recipe(Some(&config), true).unwrap().resize, None);
    }
}
