//! What a reply that is no vectors means: try again, look for the image at fault, or give up.

use std::time::{Duration, SystemTime};

use imbed_core::{Error, ErrorKind};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::{
    dialect::Dialect,
    retry_after::{ResetHeader, wait},
};

/// Characters of a service's message that are shown.
const SHOWN: usize = 300;

/// Why a request gave no vectors.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may go away.
    Temporary {
        error: Error,
        /// What the service asks to wait.
        wait: Option<Duration>,
        /// The service has too much to do: fewer requests at once.
        overloaded: bool,
        /// The service is there; without it, no other request would fare better.
        reached: bool,
    },
    /// The service refuses the request's content, perhaps one image of several.
    Refused(Error),
    /// No repetition and no smaller request would help.
    Final(Error),
}

impl Failure {
    /// Of a reply with another status than success.
    pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8], asked: &Asked<'_>) -> Self {
        let said = said(body);
        let code = status.as_u16();
        let error = |kind| Error::new(kind, format!("{} answered {code}{said}", asked.url)).temporary(false);
        let temporary = |kind, overloaded| Self::Temporary {
            error: error(kind),
            wait: wait(headers, asked.reset_header, SystemTime::now()),
            overloaded,
            reached: true,
        };
        match code {
            429 => temporary(ErrorKind::RateLimited, true),
            503 | 504 | 529 => temporary(ErrorKind::Request, true),
            408 | 409 | 425 | 500 | 502 | 507..=599 => temporary(ErrorKind::Request, false),
            400 | 422 => Self::Refused(error(ErrorKind::Request)),
            413 => Self::Refused(error(ErrorKind::Limit).hint(
                "the image is too large for the service: lower max_image_pixels, or max_request_bytes for whole requests",
            )),
            401 | 403 => Self::Final(error(ErrorKind::Config).hint(format!(
                "the service does not accept the key: it is read from {}",
                asked.key_source
            ))),
            402 => Self::Final(error(ErrorKind::Config).hint("the account has no credit left")),
            404 => Self::Final(error(ErrorKind::UnknownModel).hint(format!(
                "either the service has no model '{}', or base_url or dialect ({}) is not the service's",
                asked.model, asked.dialect.name
            ))),
            300..=399 => {
                let to = headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
                Self::Final(
                    Error::new(ErrorKind::Config, format!("{} answered {code}, a redirect to {to}", asked.url))
                        .hint("redirects are not followed, as images and key would go elsewhere: set base_url"),
                )
            }
            _ => Self::Final(error(ErrorKind::Request).hint(format!(
                "check base_url and dialect ({}): this does not look like {}",
                asked.dialect.name, asked.dialect.summary
            ))),
        }
    }

    /// Of a request that got no whole reply.
    pub(crate) fn of_transport(error: &reqwest::Error, timeout: Duration, asked: &Asked<'_>) -> Self {
        let why =
            if error.is_timeout() { format!("no answer within {} s", timeout.as_secs_f64()) } else { innermost(error) };
        let doing = if error.is_connect() { "cannot be reached" } else { "gave no whole reply" };
        let made = Error::new(ErrorKind::Request, format!("{} {doing}: {why}", asked.url));
        if error.is_builder() {
            return Self::Final(made);
        }
        let made = made.hint(if error.is_timeout() {
            "raise timeout, or send less at once: batch_size, max_request_bytes"
        } else {
            "is the service running, and is base_url right?"
        });
        Self::Temporary { error: made, wait: None, overloaded: error.is_timeout(), reached: !error.is_connect() }
    }
}

/// What a request was, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) url: &'a str,
    pub(crate) model: &'a str,
    pub(crate) dialect: &'static Dialect,
    pub(crate) key_source: &'a str,
    pub(crate) reset_header: Option<ResetHeader>,
}

/// The cause at the bottom: reqwest's own texts say only that something failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// `: ` and the service's own words, or nothing.
pub(crate) fn said(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => message(&json),
        Err(_) if is_html(body) => Some("an HTML page".to_owned()),
        Err(_) => Some(String::from_utf8_lossy(body).into_owned()),
    };
    let text = text.unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        _ if line.is_empty() => String::new(),
        Some((cut, _)) => format!(": {}…", &line[..cut]),
        None => format!(": {line}"),
    }
}

/// The words among the JSON of an error: `error.message`, `error`, `message`, `detail`, or each `detail[].msg`. The rest is
/// left out, as some services send the whole request back.
fn message(json: &Value) -> Option<String> {
    if let Value::String(text) = json {
        return Some(text.clone());
    }
    if let Value::Array(items) = json {
        let each: Vec<String> = items.iter().filter_map(message).collect();
        return (!each.is_empty()).then(|| each.join("; "));
    }
    ["error", "message", "detail", "msg"].iter().filter_map(|name| json.get(name)).find_map(message)
}

/// Whether `body` is a page for people.
pub(crate) fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DIALECTS;

    fn asked() -> Asked<'static> {
        Asked { url: "http://x/y", model: "m", dialect: DIALECTS[0], key_source: "NO_KEY", reset_header: None }
    }

    fn of(code: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(code).unwrap();
        Failure::of_status(status, &HeaderMap::new(), body.as_bytes(), &asked())
    }

    #[test]
    fn only_what_may_go_away_is_temporary_and_only_content_is_looked_into() {
        for code in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert!(matches!(of(code, ""), Failure::Temporary { .. }), "{code}");
        }
        for code in [400, 413, 422] {
            assert!(matches!(of(code, ""), Failure::Refused(_)), "{code}");
        }
        for code in [301, 401, 402, 403, 404, 405, 410, 415, 501, 505] {
            assert!(matches!(of(code, ""), Failure::Final(_)), "{code}");
        }
    }

    #[test]
    fn no_error_asks_the_engine_to_try_again() {
        for code in [429, 500, 503, 400, 401] {
            let (Failure::Temporary { error, .. } | Failure::Refused(error) | Failure::Final(error)) = of(code, "");
            assert!(!error.is_temporary(), "{code}");
        }
    }

    #[test]
    fn the_services_words_are_found_in_every_form() {
        for (body, text) in [
            (r#"{"error":{"message":"bad\nimage","type":null}}"#, ": bad image"),
            (r#"{"detail":"too many"}"#, ": too many"),
            (r#"{"detail":[{"loc":["body"],"msg":"too long","input":["data:image/png;base64,AAAA"]}]}"#, ": too long"),
            (r#"{"message":"no"}"#, ": no"),
            (r#"{"error":"no"}"#, ": no"),
            ("  <html><body>gateway</body>", ": an HTML page"),
            ("plain words", ": plain words"),
            ("", ""),
            (r#"{"status":1}"#, ""),
        ] {
            assert_eq!(said(body.as_bytes()), text, "{body}");
        }
        let long = said("ä".repeat(1000).as_bytes());
        assert_eq!(long.chars().count(), SHOWN + 3);
    }

    #[test]
    fn a_refused_key_names_where_it_came_from_and_a_redirect_where_it_leads() {
        let Failure::Final(error) = of(401, "") else { panic!() };
        assert!(error.hint_text().unwrap().contains("NO_KEY"));
        let headers = [(reqwest::header::LOCATION, "https://z/".parse().unwrap())].into_iter().collect();
        let Failure::Final(error) = Failure::of_status(StatusCode::FOUND, &headers, b"", &asked()) else { panic!() };
        assert!(error.message().contains("https://z/"));
    }
}
