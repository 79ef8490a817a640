//! Sizes in their spellings.

use serde_json::Value;

use super::config::{nonsense, not_understood};
use crate::{
    Result,
    preprocess::{MAX_SIDE, ResizeTarget, Size},
};

/// `{"height", "width"}`, `[height, width]`, `{"shortest_edge"}`, `{"shortest_edge", "longest_edge"}` or
/// `{"max_height", "max_width"}`: what the reference can resize to.
pub(super) fn target(key: &str, value: &Value) -> Result<ResizeTarget> {
    if let Some([height, width]) = value.as_array().map(Vec::as_slice) {
        return Ok(ResizeTarget::Exact(Size { height: number(key, height)?, width: number(key, width)? }));
    }
    let mut given: Vec<(&str, &Value)> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    given.sort_unstable_by_key(|(name, _)| *name);
    let mut sides = given.iter().map(|(_, value)| number(key, value));
    let mut next = || sides.next().unwrap_or_else(|| Err(nonsense(format!("{key} is {value}"))));
    let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    match names[..] {
        ["height", "width"] => Ok(ResizeTarget::Exact(Size { height: next()?, width: next()? })),
        ["shortest_edge"] => Ok(ResizeTarget::ShortestEdge(next()?)),
        ["longest_edge", "shortest_edge"] => {
            let longest = next()?;
            Ok(ResizeTarget::Edges { shortest: next()?, longest })
        }
        ["max_height", "max_width"] => Ok(ResizeTarget::Within(Size { height: next()?, width: next()? })),
        _ => Err(not_understood(format_args!("{key}: {value}"))),
    }
}

/// A height and a width, of which one number gives both.
pub(super) fn both(key: &str, value: &Value) -> Result<Size> {
    if value.is_number() {
        return Ok(Size::square(number(key, value)?));
    }
    match target(key, value)? {
        ResizeTarget::Exact(size) => Ok(size),
        _ => Err(nonsense(format!("{key} is {value}, without a height and a width"))),
    }
}

pub(super) fn number(key: &str, value: &Value) -> Result<u32> {
    let pixels = value.as_u64().ok_or_else(|| nonsense(format!("{key} holds {value}, not a number of pixels")))?;
    side(key, pixels)
}

/// A side in pixels that somebody may mean.
pub(super) fn side(key: &str, pixels: u64) -> Result<u32> {
    match u32::try_from(pixels) {
        Ok(pixels @ 1..=MAX_SIDE) => Ok(pixels),
        _ => Err(nonsense(format!("{key} asks for {pixels} pixels on a side; 1 to {MAX_SIDE} make sense"))),
    }
}
