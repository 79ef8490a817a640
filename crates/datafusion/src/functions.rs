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

use crate::{
    carried::Carried,
    function::{Function, Scalar},
    models::Models,
};

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

macro_rules! scalars {
    ($($function:ty),+ $(,)?) => {
        /// All functions in that order; `models` decides what `embed_image` means.
        pub(crate) fn all(models: &Arc<Models>) -> Vec<Arc<ScalarUDF>> {
            vec![Arc::new(EmbedImage::udf(Arc::clone(models))), $(Arc::new(Scalar::<$function>::udf())),+]
        }

        /// Whether `function` is one of ours but `embed_image`.
        pub(crate) fn is_scalar(function: &ScalarUDF) -> bool {
            $(function.inner().is::<Scalar<$function>>())||+
        }

        /// The fields that `function` carries, in a plan that was sent.
        pub(crate) fn carried(function: &ScalarUDF) -> Option<&Arc<Carried>> {
            $(if let Some(scalar) = function.inner().downcast_ref::<Scalar<$function>>() {
                return scalar.carried();
            })+
            None
        }

        /// The function `name` for a call with these fields.
        pub(crate) fn carrying(name: &str, carried: Arc<Carried>) -> Option<ScalarUDF> {
            match name {
                $(<$function as Function>::NAME => Some(Scalar::<$function>::carrying(Some(carried))),)+
                _ => None,
            }
        }
    };
}

scalars! {
    decode_image::DecodeImage,
    convert_image::ConvertImage,
    resize_image::ResizeImage,
    crop_image::CropImage,
    encode_image::EncodeImage,
    image_width::ImageWidth,
    image_height::ImageHeight,
    image_channels::ImageChannels,
    image_mode::ImageMode,
    cosine_similarity::CosineSimilarity,
    cosine_distance::CosineDistance,
    dot_product::DotProduct,
    euclidean_distance::EuclideanDistance,
    l2_normalize::L2Normalize,
}
