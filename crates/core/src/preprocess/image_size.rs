//! A recipe at another size than its own.

use super::{MAX_SIDE, Preprocess, Resize, ResizeTarget, Size};
use crate::{Error, ErrorKind, Result};

impl Preprocess {
    /// The recipe for a model that reads `side` x `side` pixels.
    ///
    /// A centre crop becomes `side` x `side`, and the resize before it keeps its proportion to the crop (256 to 224 for
    /// `DINOv2`), rounded to the nearest pixel. Without a crop an exact size becomes `side` x `side`, and a shortest edge
    /// becomes `side`; `ConvNeXT` goes by its own rule at that side. An error of kind
    /// [`BadOption`](ErrorKind::BadOption) for a recipe that fits patches or that has no size, and for a side of nothing or
    /// of more than 16 384 pixels.
    ///
    /// ```
    /// use imbed_core::preprocess::{ResizeTarget, Size, from_preprocessor_config};
    ///
    /// let dinov2 = serde_json::json!({
    ///     "image_processor_type": "BitImageProcessor", "size": { "shortest_edge": 256 }, "crop_size": 224,
    /// });
    /// let recipe = from_preprocessor_config(&dinov2)?.with_image_size(448)?;
    /// assert_eq!(recipe.resize.unwrap().target, ResizeTarget::ShortestEdge(512));
    /// assert_eq!(recipe.center_crop, Some(Size { height: 448, width: 448 }));
    /// # Ok::<(), imbed_core::Error>(())
    /// ```
    pub fn with_image_size(self, side: u32) -> Result<Self> {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(bad(format!("image_size {side} is not a side")).hint(format!("give 1 to {MAX_SIDE} pixels")));
        }
        let crop = self.center_crop;
        let resize = match self.resize {
            None if crop.is_none() => {
                return Err(bad(
                    "image_size needs a model that gives its images a size, and this one takes them as they are",
                )
                .hint("leave the option out, and resize the images before"));
            }
            None => None,
            Some(Resize { target, filter }) => Some(Resize { target: target.with_image_size(side, crop)?, filter }),
        };
        Ok(Self { resize, center_crop: crop.map(|_| Size::square(side)), normalize: self.normalize })
    }
}

impl ResizeTarget {
    fn with_image_size(self, side: u32, crop: Option<Size>) -> Result<Self> {
        // Lengths keep their proportion to the crop, or to `own` where nothing is cut.
        let scale = |length: u32, own: u32| {
            let whole = u64::from(crop.map_or(own, |crop| crop.height.min(crop.width)).max(1));
            let length = (u64::from(length) * u64::from(side) + whole / 2) / whole;
            match u32::try_from(length) {
                Ok(length @ 1..=MAX_SIDE) => Ok(length),
                _ => Err(bad(format!("image_size {side} would resize to {length} pixels before the crop"))
                    .hint(format!("1 to {MAX_SIDE} make sense; give another size"))),
            }
        };
        Ok(match self {
            Self::ShortestEdge(edge) => Self::ShortestEdge(scale(edge, edge)?),
            Self::Exact(Size { height, width }) => {
                Self::Exact(Size { height: scale(height, height)?, width: scale(width, width)? })
            }
            Self::Edges { shortest, longest } => {
                Self::Edges { shortest: scale(shortest, shortest)?, longest: scale(longest, shortest)? }
            }
            Self::Within(Size { height, width }) => {
                Self::Within(Size { height: scale(height, height)?, width: scale(width, width)? })
            }
            Self::ConvNext { side: own, crop_pct } => Self::ConvNext { side: scale(own, own)?, crop_pct },
            Self::Patches { .. } => {
                return Err(bad("image_size has no meaning for a model that fits each image to its number of patches")
                    .hint("leave the option out"));
            }
        })
    }
}

fn bad(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadOption, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::Filter, preprocess::Normalize};

    fn recipe(target: Option<ResizeTarget>, crop: Option<(u32, u32)>) -> Preprocess {
        Preprocess {
            resize: target.map(|target| Resize { target, filter: Filter::Bicubic }),
            center_crop: crop.map(|(height, width)| Size { height, width }),
            normalize: Normalize::NONE,
        }
    }

    #[test]
    fn a_crop_becomes_the_side_and_the_resize_keeps_its_proportion_to_it() {
        let exact = |height, width| ResizeTarget::Exact(Size { height, width });
        let convnext = |side| ResizeTarget::ConvNext { side, crop_pct: 0.9 };
        let shortest = ResizeTarget::ShortestEdge;
        let edges = |shortest, longest| ResizeTarget::Edges { shortest, longest };
        let within = ResizeTarget::Within(Size::square(336));
        for (target, crop, wanted, wanted_crop) in [
            (Some(shortest(256)), Some((224, 224)), Some(shortest(384)), Some((336, 336))),
            (Some(shortest(224)), Some((224, 224)), Some(shortest(336)), Some((336, 336))),
            // 336 * 237 / 224 is 355.5.
            (Some(shortest(237)), Some((224, 224)), Some(shortest(356)), Some((336, 336))),
            (Some(exact(256, 256)), Some((224, 224)), Some(exact(384, 384)), Some((336, 336))),
            (Some(exact(10, 20)), None, Some(exact(336, 336)), None),
            (Some(shortest(224)), None, Some(shortest(336)), None),
            (Some(edges(100, 200)), None, Some(edges(336, 672)), None),
            (Some(ResizeTarget::Within(Size { height: 10, width: 20 })), None, Some(within), None),
            (Some(convnext(224)), None, Some(convnext(336)), None),
            (None, Some((100, 200)), None, Some((336, 336))),
        ] {
            assert_eq!(recipe(target, crop).with_image_size(336).unwrap(), recipe(wanted, wanted_crop));
        }
    }

    #[test]
    fn convnext_warps_at_a_size_from_384_on_and_cuts_again_below() {
        let small = recipe(Some(ResizeTarget::ConvNext { side: 224, crop_pct: 0.875 }), None);
        let large = small.clone().with_image_size(384).unwrap();
        let from = Size { height: 100, width: 300 };
        assert_eq!(large.resize.unwrap().target.resized(from), Size::square(384));
        assert_eq!(large.with_image_size(224).unwrap(), small);
    }

    #[test]
    fn a_recipe_of_patches_or_without_a_size_and_an_absurd_side_are_bad_options() {
        let patches = ResizeTarget::Patches { patch: 16, max_patches: 256 };
        let square = Some(ResizeTarget::Exact(Size::square(2)));
        let tiny_crop = recipe(Some(ResizeTarget::ShortestEdge(1000)), Some((1, 1)));
        for (recipe, side) in [
            (recipe(Some(patches), None), 224),
            (recipe(None, None), 224),
            (recipe(square, None), 0),
            (recipe(square, None), 16_385),
            (tiny_crop, 224),
        ] {
            let error = recipe.with_image_size(side).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
            assert!(error.message().contains("image_size") && error.hint_text().is_some(), "{error}");
        }
    }
}
