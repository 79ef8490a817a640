//! What the fuzz targets of `fuzz/` enter by. No stable interface.

use std::time::SystemTime;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    failure::said,
    reply::Shape,
    retry_after::{ResetHeader, wait},
};

/// Reads a reply with vectors for so many images, in both shapes, and the words of one without.
pub fn reply(body: &[u8], rows: usize, width: Option<usize>) {
    for shape in [Shape::Data, Shape::ByType] {
        if let Ok(reply) = shape.read(body, rows, width) {
            assert_eq!(reply.vectors.len(), rows);
            for vector in reply.vectors.iter().flatten() {
                assert!(vector.iter().all(|number| number.is_finite()));
                assert!(width.is_none_or(|width| width == vector.len()));
            }
        }
    }
    let _ = said(body);
}

/// Reads the headers that say when to come back: lines of a name, a colon and a value.
pub fn headers(text: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    let _ = wait(&headers, Some(ResetHeader { name: "x-ratelimit-reset" }), SystemTime::now());
}
