//! Models whose vectors and needs are known, so that nothing has to be asked of the service.

use imbed_core::{
    Error, Result,
    image::{Filter, Image},
    preprocess::{ResizeTarget, Size},
};

use crate::limits::Limits;

/// What is known of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    /// The name that the service knows it by.
    pub(crate) name: &'static str,
    /// Numbers per vector where no other number is asked for.
    pub(crate) width: usize,
    /// Widths that the service itself can cut to.
    pub(crate) cuts: Cuts,
    /// What the model makes of an image's size.
    pub(crate) used: Used,
    /// Its own bounds, in place of the dialect's.
    pub(crate) limits: Option<Limits>,
}

impl Model {
    /// A model that is not cut by the service and has no bounds of its own.
    pub(crate) const fn new(name: &'static str, width: usize, used: Used) -> Self {
        Self { name, width, cuts: Cuts::Never, used, limits: None }
    }
}

/// Widths that a service cuts vectors to on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// None: the engine cuts.
    Never,
    /// Any up to the model's width.
    Any,
    /// These, which may be more than the default width.
    To(&'static [usize]),
}

/// The size at which a model looks at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Used {
    /// Not known, or any.
    Unknown,
    /// At most this many pixels.
    Pixels(u64),
    /// The shorter side at this length.
    ShortestEdge(u32),
    /// A square with this side, whatever the proportion.
    Exact(u32),
}

impl Used {
    /// The size that an image of size `from` should be sent at: never larger than it is.
    pub(crate) fn size_for(self, from: Size) -> Size {
        let size = match self {
            Self::Unknown => from,
            Self::Pixels(pixels) => within(from, pixels),
            Self::ShortestEdge(edge) => ResizeTarget::ShortestEdge(edge).size_for(from),
            Self::Exact(side) => Size { height: side, width: side },
        };
        let smaller = size.height <= from.height && size.width <= from.width;
        if smaller && size.height > 0 && size.width > 0 { size } else { from }
    }
}

/// The largest size of the same proportion with at most `pixels` pixels.
pub(crate) fn within(from: Size, pixels: u64) -> Size {
    let has = u64::from(from.width) * u64::from(from.height);
    if has <= pixels {
        return from;
    }
    let factor = (pixels as f64 / has as f64).sqrt();
    let side = |length: u32| ((f64::from(length) * factor) as u32).max(1);
    let size = Size { height: side(from.height), width: side(from.width) };
    // A side that is held at one pixel leaves the other too long.
    let longest = u32::try_from(pixels.max(1)).unwrap_or(u32::MAX);
    match (size.height, size.width) {
        (1, width) => Size { height: 1, width: width.min(longest) },
        (height, 1) => Size { height: height.min(longest), width: 1 },
        _ => size,
    }
}

/// `image` at `size`. Bicubic, as the models' own processors do.
pub(crate) fn shrink(image: Image, size: Size) -> Result<Image, Error> {
    if (size.height, size.width) == (image.height(), image.width()) {
        return Ok(image);
    }
    image.resize(size.width, size.height, Filter::Bicubic)
}

/// Checkpoints that many run on servers of their own, under the names of the Hugging Face hub.
pub(crate) const OPEN: &[Model] = &[
    Model::new("openai/clip-vit-base-patch32", 512, Used::ShortestEdge(224)),
    Model::new("openai/clip-vit-base-patch16", 512, Used::ShortestEdge(224)),
    Model::new("openai/clip-vit-large-patch14", 768, Used::ShortestEdge(224)),
    Model::new("openai/clip-vit-large-patch14-336", 768, Used::ShortestEdge(336)),
    Model::new("google/siglip-base-patch16-224", 768, Used::Exact(224)),
    Model::new("google/siglip-so400m-patch14-384", 1152, Used::Exact(384)),
    Model::new("jinaai/jina-clip-v1", 768, Used::ShortestEdge(224)),
    Model::new("jinaai/jina-clip-v2", 1024, Used::ShortestEdge(512)),
];

#[cfg(test)]
mod tests {
    use super::*;

    const PHOTO: Size = Size { height: 3000, width: 4000 };

    #[test]
    fn an_image_is_sent_at_the_size_that_is_used_and_never_larger() {
        assert_eq!(Used::Unknown.size_for(PHOTO), PHOTO);
        assert_eq!(Used::ShortestEdge(224).size_for(PHOTO), Size { height: 224, width: 298 });
        assert_eq!(Used::Exact(512).size_for(PHOTO), Size { height: 512, width: 512 });
        let small = Size { height: 100, width: 600 };
        assert_eq!(Used::Exact(512).size_for(small), small);
        assert_eq!(Used::ShortestEdge(224).size_for(small), small);
    }

    #[test]
    fn a_bound_on_pixels_keeps_the_proportion() {
        let size = Used::Pixels(1_000_000).size_for(PHOTO);
        assert_eq!(size, Size { height: 866, width: 1154 });
        assert_eq!(within(Size { height: 1, width: 65_535 }, 100), Size { height: 1, width: 100 });
        assert_eq!(within(Size { height: 10, width: 10 }, 0), Size { height: 1, width: 1 });
    }
}
