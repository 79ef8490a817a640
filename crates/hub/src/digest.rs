//! The checksum that names a file in the cache, and by which it is verified.
//!
//! The hub keeps large files under the SHA-256 of their content (git LFS) and small ones as git blobs, whose name is the
//! SHA-1 of a header with the size and the content. Either is the file's `ETag`.

use std::{fmt, io::Read};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// What a file's content must hash to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Digest {
    /// Of a large file: 64 hexadecimal digits.
    Sha256(String),
    /// Of a small one: 40.
    GitBlob(String),
}

impl Digest {
    /// The digest that `etag` spells, if it is one.
    pub(crate) fn of_etag(etag: &str) -> Option<Self> {
        let plain = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_ascii_lowercase();
        match (plain.len(), plain.bytes().all(|b| b.is_ascii_hexdigit())) {
            (64, true) => Some(Self::Sha256(plain)),
            (40, true) => Some(Self::GitBlob(plain)),
            _ => None,
        }
    }

    /// The hexadecimal digits, which are the blob's file name.
    pub(crate) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// Begins to hash a file of `size` bytes.
    pub(crate) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher(Context::new(&SHA256)),
            Self::GitBlob(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {size}\0").as_bytes());
                Hasher(context)
            }
        }
    }

    /// Whether the `size` bytes of `content` are what this digest names.
    pub(crate) fn matches(&self, mut content: impl Read, size: u64) -> std::io::Result<bool> {
        let mut hasher = self.hasher(size);
        let mut buffer = vec![0; 1 << 18];
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(hasher.finish() == self.hex()),
                n => hasher.update(&buffer[..n]),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "SHA-256 {hex}"),
            Self::GitBlob(hex) => write!(f, "git blob {hex}"),
        }
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        use fmt::Write;
        self.0.finish().as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // `printf hello | sha256sum` and `printf hello | git hash-object --stdin`.
    const SHA256_OF_HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const GIT_BLOB_OF_HELLO: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";

    #[test]
    fn both_kinds_match_what_git_and_coreutils_say() {
        for hex in [SHA256_OF_HELLO, GIT_BLOB_OF_HELLO] {
            let digest = Digest::of_etag(hex).unwrap();
            assert!(digest.matches(&b"hello"[..], 5).unwrap(), "{digest}");
            assert!(!digest.matches(&b"hellO"[..], 5).unwrap(), "{digest}");
        }
    }

    #[test]
    fn an_etag_may_be_quoted_and_weak_and_other_ones_are_no_digest() {
        let quoted = format!("W/\"{GIT_BLOB_OF_HELLO}\"");
        assert_eq!(Digest::of_etag(&quoted), Some(Digest::GitBlob(GIT_BLOB_OF_HELLO.to_owned())));
        for other in ["", "\"5d41402abc4b2a76b9719d911017c592\"", "../../etc/passwd", &"g".repeat(40)] {
            assert_eq!(Digest::of_etag(other), None, "{other}");
        }
    }
}
