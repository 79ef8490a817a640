//! Cohere's API, `/v2/embed`: vectors by type, without an index.

use super::{Dialect, Json};
use crate::{
    limits::{Limits, MIB},
    models::{Cuts, Model, Used},
    reply::Shape,
    retry_after::ResetHeader,
};

/// Images with more pixels are shrunk by the service itself.
const USED: Used = Used::Pixels(2_458_624);

/// The third generation takes one image a call, of at most 5 MB.
const V3: Limits = Limits { rows: 1, request_bytes: 8 * MIB, image_bytes: 5_000_000, ..Limits::NONE };

pub(super) const COHERE: Dialect = Dialect {
    name: "cohere",
    summary: "Cohere's API",
    base_url: "https://api.cohere.com",
    path: "/v2/embed",
    key_variable: "CO_API_KEY",
    key_required: true,
    media_types: &["image/jpeg", "image/png", "image/webp", "image/gif"],
    body: Json::Object(&[
        ("model", Json::Model),
        ("input_type", Json::Text("image")),
        ("embedding_types", Json::List(&[Json::Encoding { float: Some("float"), base64: "base64" }])),
        ("output_dimension", Json::Dimensions),
        ("images", Json::Each(&Json::DataUri)),
    ]),
    base64: false,
    reply: Shape::ByType,
    // All images of a call together may have 20 MB.
    limits: Limits { rows: 96, request_bytes: 20_000_000, image_bytes: 14_000_000, ..Limits::NONE },
    reset_header: Some(ResetHeader { name: "x-ratelimit-reset" }),
    normalized: false,
    models: &[
        Model { cuts: Cuts::To(&[256, 512, 1024, 1536]), ..Model::new("embed-v4.0", 1536, USED) },
        Model { limits: Some(V3), ..Model::new("embed-english-v3.0", 1024, USED) },
        Model { limits: Some(V3), ..Model::new("embed-multilingual-v3.0", 1024, USED) },
        Model { limits: Some(V3), ..Model::new("embed-english-light-v3.0", 384, USED) },
        Model { limits: Some(V3), ..Model::new("embed-multilingual-light-v3.0", 384, USED) },
    ],
};
