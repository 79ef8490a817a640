//! Voyage's API: an input is a list of parts, here one image each.

use super::{Dialect, Json};
use crate::{
    limits::{Limits, MIB},
    models::{Cuts, Model, Used},
    reply::Shape,
};

/// 560 pixels count as a token, and a request may hold 320 000 tokens.
const REQUEST_PIXELS: u64 = 560 * 320_000;

pub(super) const VOYAGE: Dialect = Dialect {
    name: "voyage",
    summary: "Voyage's API",
    base_url: "https://api.voyageai.com",
    path: "/v1/multimodalembeddings",
    key_variable: "VOYAGE_API_KEY",
    key_required: true,
    media_types: &["image/jpeg", "image/png", "image/webp", "image/gif"],
    body: Json::Object(&[
        ("model", Json::Model),
        ("input_type", Json::InputType),
        ("encoding_format", Json::Encoding { float: None, base64: "base64" }),
        ("output_dimension", Json::Dimensions),
        (
            "inputs",
            Json::Each(&Json::Object(&[(
                "content",
                Json::List(&[Json::Object(&[("type", Json::Text("image_base64")), ("image_base64", Json::DataUri)])]),
            )])),
        ),
    ]),
    base64: true,
    reply: Shape::Data,
    limits: Limits {
        rows: 1000,
        request_bytes: 64 * MIB,
        request_pixels: REQUEST_PIXELS,
        image_bytes: 20 * MIB,
        image_pixels: 16_000_000,
    },
    reset_header: None,
    normalized: false,
    models: &[
        Model { cuts: Cuts::To(&[256, 512, 1024, 2048]), ..Model::new("voyage-multimodal-3.5", 1024, Used::Unknown) },
        Model::new("voyage-multimodal-3", 1024, Used::Unknown),
    ],
};
