//! From text to an address that can be asked for.

use std::fmt::Write;

use ureq::http::Uri;

/// What a table says, as an address; or why it is none. Spaces and letters that do not belong in an address are written as `%20` and so
/// on, as a browser does.
pub(crate) fn parse(text: &str) -> Result<Uri, &'static str> {
    let text = text.trim();
    let text = text.split('#').next().unwrap_or(text);
    if !imbed_core::address::is_web(text) {
        return Err("only http and https addresses are fetched");
    }
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !authority.is_ascii() {
        return Err("the host is not in ASCII; write it as xn--…");
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    let uri: Uri = format!("{}://{authority}{slash}{}", scheme.to_ascii_lowercase(), escaped(path))
        .parse()
        .map_err(|_| "this is no address")?;
    match uri.host() {
        None | Some("") => Err("the address has no host"),
        Some(_) => Ok(uri),
    }
}

/// Where `location`, found at `base`, leads.
pub(crate) fn resolve(base: &Uri, location: &str) -> Result<Uri, &'static str> {
    let (scheme, authority) = (base.scheme_str().unwrap_or_default(), base.authority().map_or("", |a| a.as_str()));
    let location = location.trim();
    let is_absolute = location.find("://").is_some_and(|colon| location.find(['/', '?', '#']) == Some(colon + 1));
    let same = |path: &str| format!("{scheme}://{authority}{path}");
    parse(&if is_absolute {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        same(location)
    } else if location.starts_with('?') {
        same(&format!("{}{location}", base.path()))
    } else if location.is_empty() {
        return Err("a redirect leads nowhere");
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        same(&format!("{folder}/{location}"))
    })
}

fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_tables_have_them() {
        for (text, uri) in [
            ("https://h/a b.jpg", "https://h/a%20b.jpg"),
            ("HTTPS://h/é.jpg?x=1#top", "https://h/%C3%A9.jpg?x=1"),
            (" http://h:80 ", "http://h:80/"),
            ("http://h?x", "http://h/?x"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://me:word@h/x", "http://me:word@h/x"),
        ] {
            assert_eq!(parse(text).unwrap(), uri, "{text}");
        }
        for wrong in
            ["", "file:///etc/passwd", "ftp://h/x", "http://", "http:///x", "http://é/x", "http://a b/x", "gopher://h"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_location_may_be_absolute_or_relative() {
        let base = parse("https://h/a/b?x=1").unwrap();
        for (location, uri) in [
            ("http://cdn/c?s=2", "http://cdn/c?s=2"),
            ("//cdn/c", "https://cdn/c"),
            ("/c?u=http://x", "https://h/c?u=http://x"),
            ("c", "https://h/a/c"),
            ("?y", "https://h/a/b?y"),
        ] {
            assert_eq!(resolve(&base, location).unwrap(), uri, "{location}");
        }
        for wrong in ["", "file:///etc/passwd", "ftp://h/x"] {
            assert!(resolve(&base, wrong).is_err(), "{wrong}");
        }
    }
}
