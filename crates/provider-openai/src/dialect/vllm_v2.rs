//! vLLM's `/v2/embed`: Cohere's shapes, one vector for each image of a request.

use super::{Dialect, Json};
use crate::{limits::Limits, models::OPEN, reply::Shape};

pub(super) const VLLM_V2: Dialect = Dialect {
    name: "vllm-v2",
    summary: "a vLLM server, many images a request",
    base_url: "http://127.0.0.1:8000",
    path: "/v2/embed",
    key_variable: "VLLM_API_KEY",
    key_required: false,
    media_types: &["image/jpeg", "image/png", "image/webp", "image/gif"],
    body: Json::Object(&[
        ("model", Json::Model),
        ("embedding_types", Json::List(&[Json::Encoding { float: Some("float"), base64: "base64" }])),
        ("output_dimension", Json::Dimensions),
        ("images", Json::Each(&Json::DataUri)),
    ]),
    base64: false,
    reply: Shape::ByType,
    limits: Limits { rows: 96, ..Limits::OWN_SERVER },
    reset_header: None,
    normalized: false,
    models: OPEN,
};
