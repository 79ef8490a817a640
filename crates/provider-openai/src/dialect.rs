//! What services are spoken to, and how: one small file of data each.
//!
//! A new dialect is a constant [`Dialect`] in a file of its own and a line in [`DIALECTS`]. Everything else (packing, retries,
//! rate limits, checks) is the same for all.

mod cohere;
mod infinity;
mod jina;
mod openai;
mod template;
mod vllm;
mod vllm_v2;
mod voyage;

use imbed_core::{Error, ErrorKind, Result};

pub(crate) use template::{Json, Values};

use crate::{limits::Limits, models::Model, reply::Shape, retry_after::ResetHeader};

/// How one service is spoken to.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The value of the option `dialect`.
    pub(crate) name: &'static str,
    /// What it is, for messages.
    pub(crate) summary: &'static str,
    /// Where the service is if the option `base_url` says nothing.
    pub(crate) base_url: &'static str,
    /// What follows the base URL.
    pub(crate) path: &'static str,
    /// The environment variable with the key.
    pub(crate) key_variable: &'static str,
    /// The service answers nobody without a key.
    pub(crate) key_required: bool,
    /// Media types that it reads.
    pub(crate) media_types: &'static [&'static str],
    /// The request.
    pub(crate) body: Json,
    /// Vectors are asked for as base64 unless the option `encoding` says otherwise.
    pub(crate) base64: bool,
    /// The reply.
    pub(crate) reply: Shape,
    /// What one request may hold.
    pub(crate) limits: Limits,
    /// A header beside `Retry-After` that says when to come back.
    pub(crate) reset_header: Option<ResetHeader>,
    /// Vectors have unit length by the service's own word.
    pub(crate) normalized: bool,
    /// Models whose width is known; others need an option.
    pub(crate) models: &'static [Model],
}

/// Every dialect that takes images.
pub(crate) const DIALECTS: &[&Dialect] =
    &[&infinity::INFINITY, &vllm::VLLM, &vllm_v2::VLLM_V2, &jina::JINA, &voyage::VOYAGE, &cohere::COHERE];

/// Names of the dialects that take images, for messages.
pub(crate) fn names() -> String {
    DIALECTS.iter().map(|d| d.name).collect::<Vec<_>>().join(", ")
}

impl Dialect {
    /// The dialect called `name`, if it takes images.
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        if name == openai::NAME {
            return Err(Error::new(ErrorKind::Unsupported, openai::WHY_NOT)
                .hint(format!("dialects that take images: {}", names())));
        }
        DIALECTS.iter().copied().find(|d| d.name == name).ok_or_else(|| {
            Error::new(ErrorKind::BadOption, format!("there is no dialect '{name}'")).hint(format!(
                "one of: {} (and {}, for text only)",
                names(),
                openai::NAME
            ))
        })
    }

    /// What is known of `model`.
    pub(crate) fn model(&self, model: &str) -> Option<&'static Model> {
        self.models.iter().find(|m| m.name == model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_itself_is_refused_for_images_with_the_dialects_that_take_them() {
        let error = Dialect::find("openai").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        for dialect in DIALECTS {
            assert!(error.hint_text().unwrap().contains(dialect.name), "{error}");
        }
    }

    #[test]
    fn every_dialect_is_found_by_its_name_and_can_be_asked() {
        for dialect in DIALECTS {
            assert_eq!(Dialect::find(dialect.name).unwrap().path, dialect.path);
            assert!(dialect.body.has(&Json::Model), "{}", dialect.name);
            assert!(dialect.body.has(&Json::DataUri) || dialect.body.has(&Json::Base64), "{}", dialect.name);
            assert!(dialect.path.starts_with('/') && !dialect.base_url.ends_with('/'), "{}", dialect.name);
            assert!(dialect.media_types.contains(&"image/png"), "{}: images are made anew as PNG", dialect.name);
        }
        assert!(Dialect::find("inifnity").unwrap_err().hint_text().unwrap().contains("infinity"));
    }

    #[test]
    fn a_request_without_a_list_of_images_holds_one() {
        fn lists(json: &Json) -> bool {
            match json {
                Json::Each(_) => true,
                Json::List(items) => items.iter().any(lists),
                Json::Object(fields) => fields.iter().any(|(_, value)| lists(value)),
                _ => false,
            }
        }
        for dialect in DIALECTS {
            assert!(lists(&dialect.body) || dialect.limits.rows == 1, "{}", dialect.name);
        }
    }
}
