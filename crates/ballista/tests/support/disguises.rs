//! A secret in the forms in which bytes may hold it, and the search for them.

use std::fmt::Write;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_ADDRESSES: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The code of HTTP/2 for values of headers, as far as it is needed: the character and its bits (RFC 7541, appendix B).
const HEADER_CODE: [(u8, &str); 22] = [
    (b'0', "00000"),
    (b'1', "00001"),
    (b'2', "00010"),
    (b'a', "00011"),
    (b'c', "00100"),
    (b'e', "00101"),
    (b'i', "00110"),
    (b'o', "00111"),
    (b's', "01000"),
    (b't', "01001"),
    (b'-', "010110"),
    (b'/', "011000"),
    (b'5', "011011"),
    (b'7', "011101"),
    (b'9', "011111"),
    (b'b', "100011"),
    (b'd', "100100"),
    (b'f', "100101"),
    (b'h', "100111"),
    (b'k', "1110101"),
    (b'r', "101100"),
    (b'y', "1111010"),
];

/// What to look for to find one secret.
pub(crate) struct Disguises(Vec<(String, Vec<u8>)>);

impl Disguises {
    /// All that `secret` may look like: as it is, in base64 wherever in a group of three it begins, percent-encoded, in hexadecimal
    /// digits, and in a compressed header.
    pub(crate) fn of(secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let mut all = vec![("as it is".to_owned(), bytes.to_vec())];
        for (name, alphabet) in [("base64", STANDARD), ("base64 for addresses", FOR_ADDRESSES)] {
            for before in 0..3 {
                all.push((format!("{name}, {before} bytes in"), base64_within(bytes, before, alphabet)));
            }
        }
        let written = |each: &dyn Fn(&mut String, u8)| {
            let mut text = String::new();
            for byte in bytes {
                each(&mut text, *byte);
            }
            text.into_bytes()
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let percent = |plain: &dyn Fn(u8) -> bool, text: &mut String, byte: u8| {
            if plain(byte) { text.push(char::from(byte)) } else { write!(text, "%{byte:02X}").unwrap() }
        };
        let needed = written(&|text, byte| percent(&plain, text, byte));
        let whole = written(&|text, byte| percent(&|_| false, text, byte));
        all.push(("percent-encoded, small".to_owned(), needed.to_ascii_lowercase()));
        all.push(("percent-encoded".to_owned(), needed));
        all.push(("percent-encoded throughout, small".to_owned(), whole.to_ascii_lowercase()));
        all.push(("percent-encoded throughout".to_owned(), whole));
        let hexadecimal = written(&|text, byte| write!(text, "{byte:02x}").unwrap());
        all.push(("hexadecimal, large".to_owned(), hexadecimal.to_ascii_uppercase()));
        all.push(("hexadecimal".to_owned(), hexadecimal));
        for before in 0..8 {
            all.push((format!("in a header, {before} bits in"), header_within(bytes, before)));
        }
        Self(all)
    }

    /// The form in which `bytes` hold the secret.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        self.0.iter().find(|(_, form)| holds(bytes, form)).map(|(name, _)| name.as_str())
    }
}

/// Whether `bytes` hold `part`.
pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The digits that depend on `bytes` alone where `before` bytes stand before them in their group of three.
fn base64_within(bytes: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let padded = [&vec![0; before][..], bytes].concat();
    let digits = base64(&padded, alphabet);
    // The first of them that has no bit of what is before, and the last that has none of what is behind.
    digits[(before * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

/// Base64 as it is usually written.
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    let mut digits = base64(bytes, STANDARD);
    digits.resize(digits.len().next_multiple_of(4), b'=');
    String::from_utf8(digits).unwrap()
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |i: usize| bytes.get(i / 8).map_or(0, |byte| (byte >> (7 - i % 8)) & 1);
    let digit = |d: usize| alphabet[usize::from((0..6).fold(0, |sum, i| (sum << 1) | bit(d * 6 + i)))];
    (0..(bytes.len() * 8).div_ceil(6)).map(digit).collect()
}

/// The whole bytes of a compressed header that depend on `bytes` alone where they begin `before` bits into a byte.
fn header_within(bytes: &[u8], before: usize) -> Vec<u8> {
    let code = |byte: &u8| HEADER_CODE.iter().find(|(known, _)| known == byte).expect("a code for each character").1;
    let bits: String = bytes.iter().map(code).collect();
    let whole = bits.as_bytes()[(8 - before) % 8..].chunks_exact(8);
    whole.map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap()).collect()
}

#[test]
fn a_secret_is_found_in_whatever_form() {
    let secret = "secret/bird-59c0de";
    let forms = Disguises::of(secret);
    let found = |bytes: &[u8]| forms.found_in(bytes).unwrap_or_else(|| panic!("{bytes:?}")).to_owned();
    assert_eq!(found(format!("Bearer {secret}!").as_bytes()), "as it is");
    for before in ["", "x", "xy", "xyz"] {
        let text = base64_of(format!("{before}{secret} and more").as_bytes());
        assert!(found(text.as_bytes()).starts_with("base64, "), "{text}");
    }
    assert_eq!(base64_of(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
    assert_eq!(found(b"?key=secret%2Fbird-59c0de"), "percent-encoded");
    assert_eq!(found(b"?key=secret%2fbird-59c0de"), "percent-encoded, small");
    assert_eq!(found(b"<imbed:7365637265742f626972642d353963306465>"), "hexadecimal");
    // The example of RFC 7541, C.4.3: the code of custom-key, of which "-" is the first character that begins with a byte.
    let example = [0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
    let of_code = |text: &str, before| header_within(text.as_bytes(), before);
    assert_eq!(of_code("-key", 0), example[4..7]);
    assert_eq!(of_code("key", 6), example[5..7]);
    assert_eq!(found(&of_code(&format!("1{secret}"), 0)), "in a header, 5 bits in");
    assert_eq!(forms.found_in(format!("{} and no more", &secret[1..]).as_bytes()), None);
}
