//! What went wrong between here and a store, for people.
//!
//! An answer of a service may repeat what was sent to it, signatures and key names among it. Only its code and its message for
//! people are taken out of it.

use std::error::Error as StdError;

use imbed_core::{Error, ErrorKind};
use object_store::client::{HttpError, HttpErrorKind};

use super::Service;
use crate::error::copy;

/// Characters of a service's own words.
const LONGEST: usize = 300;

/// How `object_store` begins the text of an error that holds a service's answer.
const ANSWER: &str = "Server returned non-2xx status code: ";

/// What `error` says of `url`.
///
/// Its text alone tells the status: the type that holds it is private to `object_store`.
pub(super) fn describe(service: Service, url: &str, error: &object_store::Error) -> Error {
    if let Some(ours) = ours(error) {
        return copy(ours).context(url);
    }
    let answer = Answer::of(error);
    let sort = answer.as_ref().map_or_else(|| Sort::of(error), Answer::sort);
    let says = answer.as_ref().map_or_else(String::new, Answer::says);
    let with = |kind: ErrorKind, what: &str| Error::new(kind, format!("{url}: {what}{says}"));
    match sort {
        Sort::NoBucket => with(ErrorKind::BadInput, "there is no such bucket")
            .hint(format!("check its name; {}", service.address_hint())),
        Sort::NoObject => Error::new(ErrorKind::Io, format!("{url}: there is no such object")),
        Sort::Denied => with(ErrorKind::Request, "access is denied").hint(service.credentials_hint()),
        Sort::Unsupported => with(ErrorKind::Unsupported, &format!("{} cannot do this", service.name()))
            .hint("use a bucket, or a file on this machine"),
        Sort::Elsewhere => {
            with(ErrorKind::Request, "the bucket is in another region").hint("set AWS_REGION to the bucket's region")
        }
        Sort::Busy => with(ErrorKind::RateLimited, "the service asks to slow down").hint("try again later"),
        Sort::Failed { temporary } if answer.is_some() => {
            with(ErrorKind::Request, "the request failed").hint(service.address_hint()).temporary(temporary)
        }
        Sort::Failed { .. } => unanswered(service, url, error),
    }
}

/// What to say of a request that had no answer, or one that cannot be understood.
fn unanswered(service: Service, url: &str, error: &object_store::Error) -> Error {
    let why = short(&root(error));
    if why.contains("scheme is not allowed") {
        let what = format!("{url}: the service's address begins with http://, which is not allowed");
        return Error::new(ErrorKind::Config, what).hint(service.address_hint());
    }
    if matches!(error, object_store::Error::InvalidPath { .. }) {
        return Error::new(ErrorKind::Unsupported, format!("{url}: an object's name cannot be used: {why}"))
            .hint("rename that object, or list folders without it");
    }
    let sent = chain(error).find_map(|e| e.downcast_ref::<HttpError>()).map(HttpError::kind);
    let what = match sent {
        Some(HttpErrorKind::Connect) => "nobody answers",
        Some(HttpErrorKind::Timeout) => "there was no answer in time",
        _ => "the request failed",
    };
    let hint = match (sent, service.timeout_variable()) {
        (Some(HttpErrorKind::Timeout), Some(variable)) => {
            format!(
                "{}; a slow line may need more than the 30 seconds of a request: {variable}=2m",
                service.address_hint()
            )
        }
        _ => service.address_hint().to_owned(),
    };
    let temporary = sent.is_some_and(|kind| kind != HttpErrorKind::Decode);
    Error::new(ErrorKind::Request, format!("{url}: {what}: {why}")).hint(hint).temporary(temporary)
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    NoBucket,
    NoObject,
    Denied,
    Unsupported,
    /// In another region.
    Elsewhere,
    Busy,
    Failed {
        temporary: bool,
    },
}

impl Sort {
    /// By what `object_store` says, where the service said nothing.
    fn of(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NoObject,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Self::Denied,
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => Self::Unsupported,
            _ if root(error).contains("incorrectly configured region") => Self::Elsewhere,
            _ => Self::Failed { temporary: false },
        }
    }
}

/// How `object_store` begins the text of a request that it gave up, after it repeated it where that could help.
const GIVEN_UP: &str = "Error performing ";

/// Whether an answer began and ended too soon, which `object_store` does not ask for again.
pub(super) fn is_cut_off(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. })
        && ours(error).is_none()
        && !chain(error).any(|e| e.to_string().starts_with(GIVEN_UP))
}

/// The error of a store as ours, about the object at `url`. Those that were made here say it already; others are registered by whoever uses the session.
pub fn from_store(url: &str, error: &object_store::Error) -> Error {
    ours(error).map_or_else(|| describe(Service::Other, url, error), copy)
}

/// The error of ours that `error` carries.
fn ours(error: &object_store::Error) -> Option<&Error> {
    chain(error).find_map(|e| e.downcast_ref::<Error>())
}

/// `error` and what caused it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

/// What the innermost error says.
pub(super) fn root(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// The first line, and not too much of it.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    line.chars().take(LONGEST).collect()
}

/// What a service answered.
#[derive(Debug)]
struct Answer {
    /// Such as `403 Forbidden`.
    status: String,
    /// Such as `AccessDenied`.
    code: Option<String>,
    message: Option<String>,
}

impl Answer {
    fn of(error: &object_store::Error) -> Option<Self> {
        chain(error).find_map(|e| Self::parse(&e.to_string()))
    }

    fn parse(text: &str) -> Option<Self> {
        let answer = text.strip_prefix(ANSWER)?;
        let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
        let element = |name: &str| {
            let text = body.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>"))?.0;
            Some(short(text)).filter(|text| !text.is_empty())
        };
        Some(Self { status: short(status), code: element("Code"), message: element("Message") })
    }

    /// In brackets, for the end of a message.
    fn says(&self) -> String {
        let mut says = format!(" ({}", self.status);
        if let Some(code) = &self.code {
            says.push_str(", ");
            says.push_str(code);
        }
        if let Some(message) = &self.message {
            says.push_str(": ");
            says.push_str(message);
        }
        says.push(')');
        says
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    fn sort(&self) -> Sort {
        let of_bucket = self.message.as_deref().is_some_and(|text| text.contains("specified bucket does not exist"));
        match self.status.split(' ').next().unwrap_or_default() {
            _ if of_bucket || self.has_code(&["NoSuchBucket", "ContainerNotFound"]) => Sort::NoBucket,
            _ if self.has_code(&["PermanentRedirect", "AuthorizationHeaderMalformed"]) => Sort::Elsewhere,
            "404" => Sort::NoObject,
            "401" | "403" => Sort::Denied,
            "405" | "501" => Sort::Unsupported,
            "429" => Sort::Busy,
            "503" if self.has_code(&["SlowDown", "ServerBusy"]) => Sort::Busy,
            status => Sort::Failed { temporary: status.starts_with('5') || status == "408" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn an_answer_is_told_by_its_code_and_message_alone() {
        let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.\
                    </Message><AWSAccessKeyId>id-canary</AWSAccessKeyId><StringToSign>canary</StringToSign></Error>";
        let error = describe(Service::S3, "s3://b/x", &generic(&format!("{ANSWER}403 Forbidden: {body}")));
        assert_eq!(
            error.message(),
            "s3://b/x: access is denied (403 Forbidden, SignatureDoesNotMatch: The signature does not match)"
        );
        assert!(error.hint_text().unwrap().contains("AWS_ACCESS_KEY_ID"));
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn what_may_go_away_is_temporary() {
        let error = |answer: &str| describe(Service::S3, "s3://b", &generic(&format!("{ANSWER}{answer}")));
        assert!(error("503 Service Unavailable: ").is_temporary());
        assert_eq!(error("429 Too Many Requests: ").kind(), ErrorKind::RateLimited);
        assert!(!error("400 Bad Request: ").is_temporary());
        let elsewhere = error("301 Moved Permanently: <Error><Code>PermanentRedirect</Code></Error>");
        assert!(elsewhere.hint_text().unwrap().contains("AWS_REGION"), "{elsewhere}");
    }

    #[test]
    fn an_error_of_ours_is_kept() {
        let missing = Error::new(ErrorKind::Config, "no credentials").hint("set some");
        let error = object_store::Error::Generic { store: "S3", source: Box::new(missing) };
        let found = describe(Service::S3, "s3://b", &error);
        assert_eq!((found.message(), found.hint_text()), ("s3://b: no credentials", Some("set some")));
    }
}
