//! Hosts that a user allows by name, wherever they are.

use std::{fmt, str::FromStr};

use imbed_core::{Error, ErrorKind};

/// A host, and perhaps the one port of it, that may be at a private address.
///
/// ```
/// use imbed_urls::Host;
///
/// let host: Host = "images.internal:8080".parse().unwrap();
/// assert!(host.is("IMAGES.internal.", 8080) && !host.is("images.internal", 80));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// In lower case, without brackets and final dot.
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Whether an address with this host and port means it.
    pub fn is(&self, host: &str, port: u16) -> bool {
        self.name == normal(host) && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(ErrorKind::BadOption, format!("'{}' is no host", imbed_core::address::shown(text)))
                .hint("write HOST or HOST:PORT, as in images.internal:8080 or [fd00::1]:8080, without http:// and path")
        };
        let (name, port) = match text.rsplit_once(':') {
            // An address of IPv6 without brackets has no port.
            Some((name, _)) if name.contains(':') && !name.ends_with(']') => (text, None),
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let name = normal(name);
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "/@?#*\\[]".contains(c)) {
            return Err(wrong());
        }
        Ok(Self { name, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.name.contains(':') => write!(f, "[{}]:{port}", self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn normal(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_itself_and_no_other() {
        let host: Host = "localhost".parse().unwrap();
        assert!(host.is("LOCALHOST", 80) && host.is("localhost.", 9));
        assert!(!host.is("localhost.evil.example", 80) && !host.is("evil-localhost", 80));
        let host: Host = "[FD00::1]:81".parse().unwrap();
        assert!(host.is("[fd00::1]", 81) && !host.is("[fd00::1]", 82));
        assert!("fd00::1".parse::<Host>().unwrap().is("[fd00::1]", 1));
        assert_eq!(host.to_string(), "[fd00::1]:81");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in ["", ":80", "http://h", "h/x", "h:port", "h:99999", "me@h", "*.internal", "a b"] {
            assert_eq!(wrong.parse::<Host>().unwrap_err().kind(), ErrorKind::BadOption, "{wrong}");
        }
    }
}
