//! Jina's API: images as bare base64 in an object each.

use super::{Dialect, Json};
use crate::{
    limits::{Limits, MIB},
    models::{Cuts, Model, Used},
    reply::Shape,
};

pub(super) const JINA: Dialect = Dialect {
    name: "jina",
    summary: "Jina's API",
    base_url: "https://api.jina.ai",
    path: "/v1/embeddings",
    key_variable: "JINA_API_KEY",
    key_required: true,
    media_types: &["image/jpeg", "image/png", "image/webp", "image/gif"],
    body: Json::Object(&[
        ("model", Json::Model),
        ("normalized", Json::True),
        ("embedding_type", Json::Encoding { float: Some("float"), base64: "base64" }),
        ("dimensions", Json::Dimensions),
        ("task", Json::InputType),
        ("input", Json::Each(&Json::Object(&[("image", Json::Base64)]))),
    ]),
    base64: false,
    reply: Shape::Data,
    // No limit is published; these keep a request short enough to repeat.
    limits: Limits { rows: 64, request_bytes: 16 * MIB, ..Limits::NONE },
    reset_header: None,
    normalized: true,
    models: &[
        Model { cuts: Cuts::Any, ..Model::new("jina-clip-v2", 1024, Used::ShortestEdge(512)) },
        Model::new("jina-clip-v1", 768, Used::ShortestEdge(224)),
        Model { cuts: Cuts::Any, ..Model::new("jina-embeddings-v4", 2048, Used::Unknown) },
    ],
};
