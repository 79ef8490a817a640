//! Addresses in messages: without what may be a secret.

use std::borrow::Cow;

/// `text` as a message may show it. Of an address such as `https://me:word@host/x.jpg?signature=…` that is `https://host/x.jpg?…`: a
/// name and a password, a query and a fragment are left out, for any of them may be a key. Any other text is itself.
///
/// ```
/// use imbed_core::address::shown;
///
/// assert_eq!(shown("https://me:word@host/x.jpg?token=1#a"), "https://host/x.jpg?…");
/// assert_eq!(shown("photos/what?.jpg"), "photos/what?.jpg");
/// ```
pub fn shown(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return Cow::Borrowed(text);
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, tail) = rest.split_at(end);
    let (authority, path) = place.split_at(place.find(['/', '\\']).unwrap_or(place.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // An @ further on belongs to a path, unless the name or the password has a / that should have been written as %2F.
    let (host, path) = match path.rsplit_once('@') {
        Some((_, after)) if is_password(authority) => (after, ""),
        _ => (host, path),
    };
    let query = if tail.starts_with('?') { "?…" } else { "" };
    if host.len() + path.len() == rest.len() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{scheme}://{host}{path}{query}"))
}

/// Whether `text` is an address of a web server.
pub fn is_web(text: &str) -> bool {
    let starts = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts("http://") || starts("https://")
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Whether what stands where a host should is a name with the beginning of a password: what follows the colon is no port.
fn is_password(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    !authority.contains('@') && !port.is_empty() && !port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_left_out() {
        for (text, safe) in [
            ("https://h/x.jpg", "https://h/x.jpg"),
            ("https://h:8443/x.jpg", "https://h:8443/x.jpg"),
            ("https://me:canary@h/x.jpg", "https://h/x.jpg"),
            ("https://canary@h", "https://h"),
            ("https://me:c@nary@h/x", "https://h/x"),
            ("https://me:ca/nary@h/x", "https://h/x"),
            ("https://h/x?sig=canary", "https://h/x?…"),
            ("https://h?sig=canary", "https://h?…"),
            ("https://h/x#canary", "https://h/x"),
            ("https://h/x?a=1#canary", "https://h/x?…"),
            ("s3://key:canary@bucket/x?y", "s3://bucket/x?…"),
            ("https://h/@me/x.jpg", "https://h/@me/x.jpg"),
            ("https://[::1]:80/@me/x.jpg", "https://[::1]:80/@me/x.jpg"),
        ] {
            assert_eq!(shown(text), safe, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_itself() {
        for text in ["photos/a?.jpg", "C:\\photos", "a b://c?d", "://x?y", ""] {
            assert_eq!(shown(text), text);
        }
        assert!(is_web("HTTPS://h/x") && is_web("http://h") && !is_web("s3://b") && !is_web("https:") && !is_web("é"));
    }
}
