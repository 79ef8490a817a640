//! The image processors that are known, and what each does where its file is silent.

use crate::{
    image::Filter,
    preprocess::{ResizeTarget, Size},
};

/// One processor of the reference, with its defaults.
#[derive(Debug)]
pub(super) struct Processor {
    /// Its name without `ImageProcessor`, `FeatureExtractor`, `Fast` or `Pil`.
    pub(super) name: &'static str,
    /// Whose steps it runs.
    pub(super) kind: Kind,
    pub(super) size: ResizeTarget,
    /// A single number for the size means both sides, and not the shorter one.
    pub(super) square: bool,
    pub(super) filter: Filter,
    pub(super) do_center_crop: bool,
    pub(super) crop: Option<u32>,
    pub(super) mean: [f64; 3],
    pub(super) std: [f64; 3],
}

/// What sets a processor apart beside its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Resize, centre crop, rescale, normalise, pad.
    Plain,
    /// The same, and `use_square_size` (of KOSMOS-2) makes the default size a square.
    Clip,
    /// The same without padding.
    Unpadded,
    /// A resize rule of its own, with `crop_pct`.
    ConvNext,
    /// Resizes to whole patches; sizes and crops are not read.
    Patches,
    /// Rescales first and resizes floats, with torchvision.
    Floats,
}

pub(super) const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
pub(super) const HALF: [f64; 3] = [0.5; 3];
pub(super) const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

const fn square(side: u32) -> ResizeTarget {
    ResizeTarget::Exact(Size::square(side))
}

const CLIP: Processor = Processor {
    name: "CLIP",
    kind: Kind::Clip,
    size: ResizeTarget::ShortestEdge(224),
    square: false,
    filter: Filter::Bicubic,
    do_center_crop: true,
    crop: Some(224),
    mean: CLIP_MEAN,
    std: CLIP_STD,
};

const VIT: Processor = Processor {
    name: "ViT",
    kind: Kind::Plain,
    size: square(224),
    square: true,
    filter: Filter::Bilinear,
    do_center_crop: false,
    crop: None,
    mean: HALF,
    std: HALF,
};

/// All of them, in the order in which messages list them.
pub(super) const PROCESSORS: &[Processor] = &[
    CLIP,
    VIT,
    Processor { name: "Siglip", square: false, filter: Filter::Bicubic, ..VIT },
    Processor {
        name: "Siglip2",
        kind: Kind::Patches,
        size: ResizeTarget::Patches { patch: 16, max_patches: 256 },
        ..VIT
    },
    Processor { name: "Bit", kind: Kind::Plain, ..CLIP },
    Processor { name: "DINOv3ViT", kind: Kind::Floats, mean: IMAGENET_MEAN, std: IMAGENET_STD, ..VIT },
    Processor {
        name: "ConvNext",
        kind: Kind::ConvNext,
        size: ResizeTarget::ShortestEdge(384),
        square: false,
        filter: Filter::Bicubic,
        ..VIT
    },
    Processor {
        name: "DeiT",
        size: square(256),
        filter: Filter::Bicubic,
        do_center_crop: true,
        crop: Some(224),
        ..VIT
    },
    Processor { name: "Beit", kind: Kind::Unpadded, filter: Filter::Bicubic, crop: Some(224), ..VIT },
    Processor { name: "ChineseCLIP", kind: Kind::Plain, ..CLIP },
];

/// The processor of a class, whatever its backend and its age.
pub(super) fn find(class: &str) -> Option<&'static Processor> {
    let stem = class.strip_suffix("Fast").or(class.strip_suffix("Pil")).unwrap_or(class);
    let stem = stem.strip_suffix("ImageProcessor").or(stem.strip_suffix("FeatureExtractor"))?;
    PROCESSORS.iter().find(|p| p.name == stem)
}

/// The classes, for messages.
pub(super) fn known() -> String {
    let names: Vec<String> = PROCESSORS.iter().map(|p| format!("{}ImageProcessor", p.name)).collect();
    format!("known processors: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_by_each_of_its_names() {
        for class in [
            "CLIPImageProcessor",
            "CLIPFeatureExtractor",
            "CLIPImageProcessorFast",
            "CLIPImageProcessorPil",
            "ChineseCLIPImageProcessor",
            "Siglip2ImageProcessorFast",
            "DINOv3ViTImageProcessorFast",
            "BeitFeatureExtractor",
        ] {
            let name = find(class).unwrap().name;
            assert!(class.strip_prefix(name).is_some_and(|rest| rest.starts_with(['I', 'F'])), "{class}: {name}");
        }
        for class in ["CLIP", "LlavaImageProcessor", "ImageProcessor", "clipImageProcessor", ""] {
            assert!(find(class).is_none(), "{class}");
        }
    }
}
