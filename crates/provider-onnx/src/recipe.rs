//! From an image to the pixels that the graph's input takes: the model's own recipe, with the user's changes.

use imbed_core::{
    Error, ErrorKind, Preprocess, Result,
    preprocess::{Normalize, Resize, from_preprocessor_config},
};
use serde_json::Value;

use crate::{
    graph::Element,
    input::ImageInput,
    options::{RecipeOptions, Step},
};

/// The recipe of `config`, a `preprocessor_config.json`, or of the options alone; never a guess.
///
/// `image_size` is the option of that name: another height and width, for graphs that take any.
pub(crate) fn choose(
    config: Option<&Value>,
    options: &RecipeOptions,
    image_size: Option<u32>,
    input: &ImageInput,
) -> Result<Preprocess> {
    let mut recipe = match config {
        Some(config) => changed(from_preprocessor_config(config)?, options)?,
        None => from_options(options, input.element)?,
    };
    if input.element == Element::U8 {
        // Such a graph is given bytes and does the arithmetic itself.
        if options.mean.is_some() || options.std.is_some() || options.rescale.is_some() {
            let message = format!("the input '{}' takes bytes: mean, std and rescale cannot be applied", input.name);
            return Err(
                Error::new(ErrorKind::BadOption, message).hint("leave them away: the graph normalises by itself")
            );
        }
        recipe.normalize = Normalize::NONE;
    }
    if let Some(side) = image_size {
        recipe = recipe.with_image_size(side)?;
    }
    check_size(&recipe, input)?;
    Ok(recipe)
}

fn changed(mut recipe: Preprocess, options: &RecipeOptions) -> Result<Preprocess> {
    match options.resize {
        Step::Without => recipe.resize = None,
        Step::With(target) => {
            let filter = options.resample.or(recipe.resize.map(|resize| resize.filter));
            recipe.resize = Some(Resize { target, filter: filter.ok_or_else(|| missing("resample"))? });
        }
        Step::Unsaid => {
            if let (Some(filter), Some(resize)) = (options.resample, &mut recipe.resize) {
                resize.filter = filter;
            }
        }
    }
    match options.crop {
        Step::Unsaid => {}
        Step::Without => recipe.center_crop = None,
        Step::With(size) => recipe.center_crop = Some(size),
    }
    let normalize = &mut recipe.normalize;
    normalize.mean = options.mean.unwrap_or(normalize.mean);
    normalize.std = options.std.unwrap_or(normalize.std);
    normalize.scale = options.rescale.unwrap_or(normalize.scale);
    Ok(recipe)
}

fn from_options(options: &RecipeOptions, element: Element) -> Result<Preprocess> {
    let resize = match options.resize {
        Step::Unsaid => return Err(missing("resize")),
        Step::Without => None,
        Step::With(target) => Some(Resize { target, filter: options.resample.ok_or_else(|| missing("resample"))? }),
    };
    let center_crop = match options.crop {
        Step::With(size) => Some(size),
        Step::Unsaid | Step::Without => None,
    };
    let normalize = if element == Element::U8 {
        Normalize::NONE
    } else {
        Normalize {
            scale: options.rescale.unwrap_or(1.0 / 255.0),
            mean: options.mean.ok_or_else(|| missing("mean"))?,
            std: options.std.ok_or_else(|| missing("std"))?,
        }
    };
    Ok(Preprocess { resize, center_crop, normalize })
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

/// The recipe must make what the graph takes.
fn check_size(recipe: &Preprocess, input: &ImageInput) -> Result<()> {
    let side = |side: Option<usize>| side.map_or("any".to_owned(), |side| side.to_string());
    let (rows, columns) = (input.height, input.width);
    let fits = |made: u32, wanted: Option<usize>| wanted.is_none_or(|wanted| wanted == made as usize);
    let made = match recipe.output_size() {
        Some(size) if fits(size.height, rows) && fits(size.width, columns) => return Ok(()),
        Some(size) => size.to_string(),
        None if rows.is_none() && columns.is_none() => return Ok(()),
        None => "any size".to_owned(),
    };
    let message = format!(
        "the preprocessing makes pictures of {made}, but the graph's input '{}' takes {}x{}",
        input.name,
        side(rows),
        side(columns)
    );
    let hint = match (rows, columns) {
        (Some(rows), Some(columns)) => format!("such as --option crop={rows}x{columns}, as the model was trained"),
        _ => "set resize and crop as the model was trained".to_owned(),
    };
    Err(Error::new(ErrorKind::BadOption, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use imbed_core::{
        image::Filter,
        preprocess::{ResizeTarget, Size},
    };
    use serde_json::json;

    use super::*;
    use crate::input::Layout;

    fn input(element: Element, height: Option<usize>, width: Option<usize>) -> ImageInput {
        ImageInput { name: "x".into(), element, layout: Layout::Nchw, bgr: false, batch: None, height, width }
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

    fn any(element: Element) -> ImageInput {
        input(element, None, None)
    }

    #[test]
    fn options_alone_are_enough_when_they_are_complete() {
        let recipe = choose(None, &full(), None, &input(Element::F32, Some(224), Some(224))).unwrap();
        assert_eq!(recipe.to_string(), "RGB, shortest edge 256 bilinear, centre crop 224x224");
        assert_eq!(recipe.normalize, Normalize { scale: 1.0 / 255.0, mean: [0.5; 3], std: [0.25; 3] });
    }

    #[test]
    fn what_is_missing_is_named_and_never_guessed() {
        for (name, options) in [
            ("resize", RecipeOptions { resize: Step::Unsaid, ..full() }),
            ("resample", RecipeOptions { resample: None, ..full() }),
            ("mean", RecipeOptions { mean: None, ..full() }),
            ("std", RecipeOptions { std: None, ..full() }),
        ] {
            let error = choose(None, &options, None, &any(Element::F32)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
            assert!(error.message().contains(&format!("'{name}'")), "{error}");
        }
    }

    #[test]
    fn options_change_the_models_own_recipe_step_by_step() {
        let config = json!({ "image_processor_type": "CLIPImageProcessor" });
        let options = RecipeOptions { resample: Some(Filter::Lanczos), mean: Some([0.0; 3]), ..Default::default() };
        let recipe = choose(Some(&config), &options, None, &any(Element::F32)).unwrap();
        assert_eq!(recipe.to_string(), "RGB, shortest edge 224 lanczos, centre crop 224x224");
        assert_eq!(recipe.normalize.mean, [0.0; 3]);
        assert_eq!(recipe.normalize.std, [0.268_629_54, 0.261_302_58, 0.275_777_11]);
        let none = RecipeOptions { resize: Step::Without, ..Default::default() };
        assert_eq!(choose(Some(&config), &none, None, &any(Element::F32)).unwrap().resize, None);
    }

    #[test]
    fn a_graph_that_takes_bytes_is_given_bytes() {
        let config = json!({ "image_processor_type": "CLIPImageProcessor" });
        let recipe = choose(Some(&config), &RecipeOptions::default(), None, &any(Element::U8)).unwrap();
        assert_eq!(recipe.normalize, Normalize::NONE);
        let options = RecipeOptions { mean: None, std: None, ..full() };
        assert!(choose(None, &options, None, &any(Element::U8)).is_ok());
        assert_eq!(choose(None, &full(), None, &any(Element::U8)).unwrap_err().kind(), ErrorKind::BadOption);
    }

    #[test]
    fn another_image_size_scales_the_steps_together() {
        let at = |options: &RecipeOptions, side| choose(None, options, Some(side), &any(Element::F32));
        assert_eq!(at(&full(), 448).unwrap().to_string(), "RGB, shortest edge 512 bilinear, centre crop 448x448");
        let exact = ResizeTarget::Exact(Size { height: 24, width: 24 });
        let exact = RecipeOptions { resize: Step::With(exact), crop: Step::Unsaid, ..full() };
        assert_eq!(at(&exact, 32).unwrap().to_string(), "RGB, resize 32x32 bilinear");
        let loose = RecipeOptions { crop: Step::Unsaid, ..full() };
        assert_eq!(at(&loose, 32).unwrap().to_string(), "RGB, shortest edge 32 bilinear");
    }

    #[test]
    fn a_size_that_the_graph_does_not_take_is_refused_with_both_sizes() {
        let error = choose(None, &full(), None, &input(Element::F32, Some(256), Some(256))).unwrap_err();
        assert!(error.message().contains("224x224") && error.message().contains("256x256"), "{error}");
        let loose = RecipeOptions { crop: Step::Unsaid, ..full() };
        assert!(choose(None, &loose, None, &input(Element::F32, Some(256), Some(256))).is_err());
        assert!(choose(None, &loose, None, &any(Element::F32)).is_ok());
    }
}
