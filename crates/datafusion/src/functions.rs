//! The scalar functions, one file each, and the one list of them.

mod convert_image;
mod cosine_distance;
mod cosine_similarity;
mod crop_image;
mod decode_image;
mod described;
mod dot_product;
mod embed_image;
mod encode_image;
mod euclidean_distance;
mod image_channels;
mod image_height;
mod image_mode;
mod image_width;
mod l2_normalize;
mod resize_image;

use std::sync::Arc;

use datafusion::logical_expr::{Documentation, ScalarUDF, ScalarUDFImpl};

use crate::{function::Scalar, models::Models};

pub(crate) use embed_image::{EmbedImage, NAME as EMBED_IMAGE};

/// The functions that a plan may fuse with `embed_image`, and what their calls ask for.
pub(crate) mod steps {
    pub(crate) use super::{
        convert_image::{Convert, ConvertImage},
        crop_image::{CropImage, constant_box},
        decode_image::{Decode, DecodeImage},
        resize_image::{Resize, ResizeImage},
    };
}

/// The names of all functions, in the order of the reference page.
pub(crate) const NAMES: [&str; 15] = [
    "embed_image",
    "decode_image",
    "convert_image",
    "resize_image",
    "crop_image",
    "encode_image",
    "image_width",
    "image_height",
    "image_channels",
    "image_mode",
    "cosine_similarity",
    "cosine_distance",
    "dot_product",
    "euclidean_distance",
    "l2_normalize",
];

/// The documentation of each function, in that order.
pub(crate) fn documentation(models: &Arc<Models>) -> Vec<(String, Documentation)> {
    let embed = EmbedImage::new(Arc::clone(models));
    let of = |function: &ScalarUDF| match function.name() {
        embed_image::NAME => embed.documentation().cloned(),
        _ => function.documentation().cloned(),
    };
    all(models).iter().filter_map(|function| Some((function.name().to_owned(), of(function)?))).collect()
}

/// All functions in that order; `models` decides what `embed_image` means.
pub(crate) fn all(models: &Arc<Models>) -> Vec<Arc<ScalarUDF>> {
    [
        EmbedImage::udf(Arc::clone(models)),
        Scalar::<decode_image::DecodeImage>::udf(),
        Scalar::<convert_image::ConvertImage>::udf(),
        Scalar::<resize_image::ResizeImage>::udf(),
        Scalar::<crop_image::CropImage>::udf(),
        Scalar::<encode_image::EncodeImage>::udf(),
        Scalar::<image_width::ImageWidth>::udf(),
        Scalar::<image_height::ImageHeight>::udf(),
        Scalar::<image_channels::ImageChannels>::udf(),
        Scalar::<image_mode::ImageMode>::udf(),
        Scalar::<cosine_similarity::CosineSimilarity>::udf(),
        Scalar::<cosine_distance::CosineDistance>::udf(),
        Scalar::<dot_product::DotProduct>::udf(),
        Scalar::<euclidean_distance::EuclideanDistance>::udf(),
        Scalar::<l2_normalize::L2Normalize>::udf(),
    ]
    .map(Arc::new)
    .into()
}
