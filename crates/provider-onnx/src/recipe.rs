//! From an image to the pixels that the graph's input takes: the model's own recipe, with the user's changes.

use imbed_core::{
    Error, ErrorKind, Preprocess, Result,
    preprocess::{Normalize, RecipeOptions},
};
use serde_json::Value;

use crate::{graph::Element, input::ImageInput};

/// The recipe of `config`, a `preprocessor_config.json`, or of the options alone; never a guess.
///
/// `image_size` is the option of that name: another height and width, for graphs that take any.
pub(crate) fn choose(
    config: Option<&Value>,
    options: &RecipeOptions,
    image_size: Option<u32>,
    input: &ImageInput,
) -> Result<Preprocess> {
    let mut recipe = options.recipe(config, input.element != Element::U8)?;
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
        preprocess::{ResizeTarget, Size, Step},
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
