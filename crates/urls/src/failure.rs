//! Why a fetch failed, and whether it is worth another try.

use std::time::{Duration, SystemTime};

use imbed_core::{Error, ErrorKind};
use ureq::http::{HeaderMap, StatusCode};

use crate::resolve::Refused;

/// One try that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// How long the server asks to be left alone.
    pub(crate) wait: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, wait: None }
    }
}

/// A failure for good.
pub(crate) fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Request, why).hint("open the address in a browser to see where it leads")
}

/// Not all was there when the time was up.
pub(crate) fn too_slow(limit: Duration) -> Error {
    Error::new(ErrorKind::Request, format!("it took longer than {} s", limit.as_secs_f64()))
        .hint("give slow servers more time with --url-timeout SECONDS")
}

/// What a status that brings no image means.
pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap) -> Failure {
    let reason = status.canonical_reason().map_or_else(String::new, |reason| format!(" ({reason})"));
    let said = format!("the server answers {}{reason}", status.as_u16());
    let error = match status.as_u16() {
        429 => Error::new(ErrorKind::RateLimited, said).hint("ask for fewer at once with --url-requests N"),
        408 | 425 | 500 | 502..=504 => {
            Error::new(ErrorKind::Request, said).temporary(true).hint("try again later, or raise --max-retries")
        }
        401 | 403 => Error::new(ErrorKind::Request, said).hint("is the address signed, and has the signature expired?"),
        404 | 410 => Error::new(ErrorKind::Request, said).hint("there is no image at this address any more"),
        _ => Error::new(ErrorKind::Request, said).hint("open the address in a browser to see what the server wants"),
    };
    Failure { error, wait: retry_after(headers, SystemTime::now()) }
}

/// What a connection that broke, or never was, means.
pub(crate) fn of_transport(error: &ureq::Error) -> Error {
    if let Some(refused) = find::<Refused>(error) {
        return Error::new(ErrorKind::Request, refused.to_string()).hint(format!(
            "private networks are not reached; if you trust whoever wrote this address, --allow-host {} permits it",
            refused.host
        ));
    }
    let untrusted =
        matches!(error, ureq::Error::Tls(_) | ureq::Error::Rustls(_)) || find::<rustls::Error>(error).is_some();
    if untrusted {
        return Error::new(ErrorKind::Request, format!("no secure connection: {}", innermost(error)))
            .hint("the server's certificate is not trusted here, or it does not speak TLS");
    }
    let (said, temporary) = match error {
        ureq::Error::Timeout(_) => ("the server does not answer in time".to_owned(), true),
        ureq::Error::HostNotFound => ("there is no such host, or names cannot be looked up".to_owned(), true),
        ureq::Error::ConnectionFailed | ureq::Error::Io(_) => (innermost(error), true),
        ureq::Error::Protocol(_) => (format!("the server does not speak HTTP: {error}"), true),
        ureq::Error::LargeResponseHeader(..) => ("the server's headers are too long".to_owned(), false),
        // Others repeat the address.
        _ => ("the request cannot be made".to_owned(), false),
    };
    Error::new(ErrorKind::Request, said)
        .temporary(temporary)
        .hint("is the network up? No proxy is used for addresses in tables")
}

/// The same of a body that broke off.
pub(crate) fn of_body(error: std::io::Error) -> Error {
    let error = ureq::Error::from(error);
    of_transport(&error)
}

/// The cause of `error` of this type, through everything that it is wrapped in.
fn find<T: std::error::Error + 'static>(error: &ureq::Error) -> Option<&T> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // Neither names what it wraps as its source.
        next = match (error.downcast_ref::<ureq::Error>(), error.downcast_ref::<std::io::Error>()) {
            (Some(ureq::Error::Other(inner)), _) => Some(inner.as_ref()),
            (Some(ureq::Error::Io(inner)), _) => Some(inner),
            (Some(ureq::Error::Rustls(inner)), _) => Some(inner),
            (_, Some(inner)) => inner.get_ref().map(|inner| inner as _),
            _ => error.source(),
        };
    }
    None
}

/// What happened underneath.
fn innermost(error: &ureq::Error) -> String {
    let text = match error {
        ureq::Error::Io(e) => e.to_string(),
        ureq::Error::Rustls(e) => e.to_string(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}

/// `Retry-After`: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A moment that is past means now.
    httpdate::parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;

    #[test]
    fn servers_that_are_busy_are_asked_again_and_others_are_not() {
        let headers = HeaderMap::new();
        let temporary = |status: u16| of_status(StatusCode::from_u16(status).unwrap(), &headers).error.is_temporary();
        assert!([408, 425, 429, 500, 502, 503, 504].into_iter().all(temporary));
        assert!(![204, 206, 304, 400, 401, 403, 404, 410, 451, 501].into_iter().any(temporary));
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([("retry-after".parse().unwrap(), HeaderValue::from_static(text))]), now)
        };
        assert_eq!(wait(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn a_refused_address_is_found_under_whatever_wraps_it() {
        let inner = Refused { host: "h".to_owned(), address: "10.0.0.1".parse().unwrap(), what: "a private address" };
        let wrapped = ureq::Error::Io(std::io::Error::other(ureq::Error::Other(Box::new(inner))));
        let error = of_transport(&wrapped);
        assert!(error.message().contains("h is at 10.0.0.1, a private address"), "{error}");
        assert!(!error.is_temporary() && error.hint_text().unwrap().contains("--allow-host h"));
    }
}
