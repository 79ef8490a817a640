//! infinity, the server `infinity_emb v2`: `OpenAI`'s reply, with a field of its own for what the inputs are.

use super::{Dialect, Json};
use crate::{limits::Limits, models::OPEN, reply::Shape};

pub(super) const INFINITY: Dialect = Dialect {
    name: "infinity",
    summary: "an infinity server",
    base_url: "http://127.0.0.1:7997",
    path: "/embeddings",
    key_variable: "INFINITY_API_KEY",
    key_required: false,
    media_types: &["image/jpeg", "image/png", "image/webp", "image/gif"],
    body: Json::Object(&[
        ("model", Json::Model),
        ("modality", Json::Text("image")),
        ("encoding_format", Json::Encoding { float: Some("float"), base64: "base64" }),
        ("dimensions", Json::Dimensions),
        ("input", Json::Each(&Json::DataUri)),
    ]),
    base64: true,
    reply: Shape::Data,
    // More than 32 inputs are refused with 422, whatever the server's own batch size.
    limits: Limits { rows: 32, ..Limits::OWN_SERVER },
    reset_header: None,
    normalized: true,
    models: OPEN,
};
