//! vLLM's `/v1/embeddings` with messages: one vector for one conversation, so one image a request.

use super::{Dialect, Json};
use crate::{limits::Limits, models::OPEN, reply::Shape};

pub(super) const VLLM: Dialect = Dialect {
    name: "vllm",
    summary: "a vLLM server, one image a request",
    base_url: "http://127.0.0.1:8000",
    path: "/v1/embeddings",
    key_variable: "VLLM_API_KEY",
    key_required: false,
    media_types: &["image/jpeg", "image/png", "image/webp", "image/gif"],
    body: Json::Object(&[
        ("model", Json::Model),
        ("encoding_format", Json::Encoding { float: Some("float"), base64: "base64" }),
        ("dimensions", Json::Dimensions),
        (
            "messages",
            Json::List(&[Json::Object(&[
                ("role", Json::Text("user")),
                (
                    "content",
                    Json::List(&[Json::Object(&[
                        ("type", Json::Text("image_url")),
                        ("image_url", Json::Object(&[("url", Json::DataUri)])),
                    ])]),
                ),
            ])]),
        ),
    ]),
    base64: true,
    reply: Shape::Data,
    limits: Limits { rows: 1, ..Limits::OWN_SERVER },
    reset_header: None,
    normalized: false,
    models: OPEN,
};
