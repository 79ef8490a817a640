//! From a reply's JSON to vectors, with every promise checked: as many as images, each once, the right width, real numbers.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use imbed_core::{Error, ErrorKind, Result};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::Value;

use crate::failure::{is_html, said};

/// How a reply holds its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `data[].index` and `data[].embedding`, as `OpenAI`'s.
    Data,
    /// `embeddings.float[]` or `embeddings.base64[]` in the order of the images, as Cohere's.
    ByType,
}

/// What a reply holds.
#[derive(Debug)]
pub(crate) struct Reply {
    /// One per image, in the order of the images: the vector, or why it is none.
    pub(crate) vectors: Vec<Result<Vec<f32>>>,
    /// What the service counted, in its own tokens.
    pub(crate) tokens: Option<u64>,
}

/// Why a reply cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It holds a number that JSON has not, so one image of several may be to blame.
    PerhapsOneImage(Error),
    /// It is not what was agreed on.
    Whole(Error),
}

impl Shape {
    /// Reads a reply to `rows` images that wants `width` numbers each; any width where that is `None`.
    pub(crate) fn read(self, body: &[u8], rows: usize, width: Option<usize>) -> Result<Reply, Unreadable> {
        let (numbers, tokens) = match self {
            Self::Data => {
                let body: Data = parse(body)?;
                (in_order(body.data, rows).map_err(Unreadable::Whole)?, tokens(body.usage.as_ref()))
            }
            Self::ByType => {
                let body: ByType = parse(body)?;
                let billed = body.meta.as_ref().and_then(|meta| meta.get("billed_units"));
                let lists = body.embeddings.float.or(body.embeddings.base64).unwrap_or_default();
                (lists, tokens(billed))
            }
        };
        check_count(rows, numbers.len()).map_err(Unreadable::Whole)?;
        let width = width.or_else(|| numbers.first().map(|n| n.0.len())).unwrap_or_default();
        if let Some(other) = numbers.iter().map(|n| n.0.len()).find(|n| *n != width) {
            return Err(Unreadable::Whole(
                Error::new(
                    ErrorKind::Dimensions,
                    format!("the service gave a vector of {other} numbers where {width} were expected"),
                )
                .hint(format!("if the model gives {other}, set width={other}")),
            ));
        }
        Ok(Reply { vectors: numbers.into_iter().map(|n| usable(n.0)).collect(), tokens })
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|e| {
        if is_html(body) {
            return Unreadable::Whole(
                Error::new(ErrorKind::Request, "the service answered with an HTML page where JSON was expected")
                    .hint("base_url leads to something for people: a login page, a proxy, the site itself"),
            );
        }
        // Some gateways say what went wrong with status 200.
        let said = if serde_json::from_slice::<Value>(body).is_ok() { said(body) } else { String::new() };
        let what = format!("the service's answer is not what its dialect says ({e}){said}");
        let error = Error::new(ErrorKind::Request, what).hint("check the options dialect and base_url");
        // JSON knows neither of these, but some servers write them.
        let has = |word: &[u8]| body.windows(word.len()).any(|w| w == word);
        if has(b"NaN") || has(b"Infinity") {
            let what = "the service gave numbers that are not finite";
            return Unreadable::PerhapsOneImage(Error::new(ErrorKind::Model, what).source(e));
        }
        Unreadable::Whole(error.source(e))
    })
}

/// A vector that can be used, or why not.
fn usable(vector: Vec<f32>) -> Result<Vec<f32>> {
    if let Some(i) = vector.iter().position(|x| !x.is_finite()) {
        let what = format!("the service gave {} as number {i} of the vector", vector[i]);
        return Err(Error::new(ErrorKind::Model, what));
    }
    // What services return for what they could not embed.
    if vector.iter().all(|x| *x == 0.0) {
        return Err(Error::new(ErrorKind::Model, "the service gave a vector of zeros"));
    }
    Ok(vector)
}

fn check_count(rows: usize, vectors: usize) -> Result<()> {
    if rows == vectors {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Request, format!("{rows} images were sent, but {vectors} vectors came back"))
        .hint("the service breaks its own promise; nothing of this answer is used, as no vector can be told apart"))
}

/// The vectors in the order of their index, each index once.
fn in_order(data: Vec<Item>, rows: usize) -> Result<Vec<Numbers>> {
    check_count(rows, data.len())?;
    let mut ordered: Vec<Option<Numbers>> = std::iter::repeat_with(|| None).take(rows).collect();
    for Item { index, embedding } in data {
        let place = ordered.get_mut(index).ok_or_else(|| {
            Error::new(ErrorKind::Request, format!("a vector with index {index} came back for {rows} images"))
        })?;
        if place.replace(embedding).is_some() {
            return Err(Error::new(ErrorKind::Request, format!("two vectors came back with index {index}")));
        }
    }
    // As many as places, and none twice: every place is taken.
    Ok(ordered.into_iter().flatten().collect())
}

/// Tokens by whatever name the service counts them.
fn tokens(usage: Option<&Value>) -> Option<u64> {
    let usage = usage?;
    let number = |name: &str| usage.get(name).and_then(Value::as_f64).map(|n| n as u64);
    number("total_tokens").or_else(|| match (number("image_tokens"), number("input_tokens")) {
        (None, None) => None,
        (image, input) => Some(image.unwrap_or(0) + input.unwrap_or(0)),
    })
}

#[derive(Deserialize)]
struct Data {
    data: Vec<Item>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Numbers,
}

#[derive(Deserialize)]
struct ByType {
    embeddings: Lists,
    meta: Option<Value>,
}

#[derive(Deserialize)]
struct Lists {
    float: Option<Vec<Numbers>>,
    base64: Option<Vec<Numbers>>,
}

/// A vector as a list of numbers, or as base64 of little-endian f32.
#[derive(Debug)]
struct Numbers(Vec<f32>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers, or base64 of 32-bit floats")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::with_capacity(list.size_hint().unwrap_or(1024));
                // `null` is how some servers write a number that is none.
                // Read as f64, as a number that is too large for f32 is its own row's error and not the whole reply's.
                while let Some(number) = list.next_element::<Option<f64>>()? {
                    numbers.push(number.map_or(f32::NAN, |number| number as f32));
                }
                Ok(Numbers(numbers))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Numbers, E> {
                let bytes = STANDARD.decode(text).map_err(|e| E::custom(format!("a vector is not base64: {e}")))?;
                let (floats, rest) = bytes.as_chunks();
                if !rest.is_empty() {
                    return Err(E::custom(format!("a vector of {} bytes is not whole 32-bit floats", bytes.len())));
                }
                Ok(Numbers(floats.iter().map(|b| f32::from_le_bytes(*b)).collect()))
            }
        }

        from.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(shape: Shape, body: &str, rows: usize, width: usize) -> Result<Vec<Result<Vec<f32>>>, Error> {
        match shape.read(body.as_bytes(), rows, Some(width)) {
            Ok(reply) => Ok(reply.vectors),
            Err(Unreadable::Whole(error) | Unreadable::PerhapsOneImage(error)) => Err(error),
        }
    }

    fn data(body: &str, rows: usize) -> Result<Vec<Vec<f32>>> {
        read(Shape::Data, body, rows, 2)?.into_iter().collect()
    }

    #[test]
    fn the_index_and_not_the_place_says_whose_a_vector_is() {
        let body = r#"{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}]}"#;
        assert_eq!(data(body, 2).unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn base64_is_little_endian_f32() {
        let text = STANDARD.encode([1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat());
        let body = format!(r#"{{"data":[{{"index":0,"embedding":"{text}"}}]}}"#);
        assert_eq!(data(&body, 1).unwrap(), [[1.5, -2.0]]);
        let by_type = format!(r#"{{"embeddings":{{"base64":["{text}"]}}}}"#);
        assert_eq!(read(Shape::ByType, &by_type, 1, 2).unwrap()[0].as_ref().unwrap(), &[1.5, -2.0]);
    }

    #[test]
    fn a_reply_that_is_short_long_or_doubled_is_no_reply() {
        for body in [
            r#"{"data":[{"index":0,"embedding":[1,2]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,2]},{"index":0,"embedding":[1,2]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,2]},{"index":2,"embedding":[1,2]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1,2]},{"index":2,"embedding":[1,2]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,2]},{"embedding":[1,2]}]}"#,
            r#"{"data":[]}"#,
            "{}",
        ] {
            assert_eq!(data(body, 2).unwrap_err().kind(), ErrorKind::Request, "{body}");
        }
        let none = read(Shape::ByType, r#"{"embeddings":{}}"#, 1, 2).unwrap_err();
        assert!(none.message().contains("0 vectors"), "{none}");
    }

    #[test]
    fn another_width_names_both_and_the_option() {
        let error = data(r#"{"data":[{"index":0,"embedding":[1,2,3]}]}"#, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dimensions);
        assert!(error.message().contains('3') && error.message().contains('2'), "{error}");
        assert!(error.hint_text().unwrap().contains("width=3"));
    }

    #[test]
    fn numbers_that_are_none_cost_their_own_row_only() {
        let nan = STANDARD.encode([1f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat());
        for bad in [format!("\"{nan}\""), "[1,null]".to_owned(), "[0,0]".to_owned(), "[1e39,1]".to_owned()] {
            let body = format!(r#"{{"data":[{{"index":0,"embedding":[1,2]}},{{"index":1,"embedding":{bad}}}]}}"#);
            let rows = read(Shape::Data, &body, 2, 2).unwrap();
            assert!(rows[0].is_ok(), "{bad}");
            assert_eq!(rows[1].as_ref().unwrap_err().kind(), ErrorKind::Model, "{bad}");
        }
    }

    #[test]
    fn a_nan_that_breaks_the_json_may_be_one_images_fault() {
        let body = br#"{"data":[{"index":0,"embedding":[NaN,2]}]}"#;
        assert!(matches!(Shape::Data.read(body, 1, Some(2)), Err(Unreadable::PerhapsOneImage(_))));
    }

    #[test]
    fn a_page_for_people_says_so() {
        let error = data("<!doctype html><title>Sign in</title>", 1).unwrap_err();
        assert!(error.message().contains("HTML page"), "{error}");
        assert!(error.hint_text().unwrap().contains("base_url"));
    }

    #[test]
    fn an_error_that_comes_as_success_is_quoted() {
        let error = data(r#"{"error":{"message":"no such model"}}"#, 1).unwrap_err();
        assert!(error.message().ends_with(": no such model"), "{error}");
    }

    #[test]
    fn tokens_are_counted_by_any_name() {
        for (usage, expected) in [
            (r#"{"total_tokens":7,"prompt_tokens":7}"#, Some(7)),
            (r#"{"image_tokens":3,"input_tokens":2}"#, Some(5)),
            (r#"{"images":2}"#, None),
            ("null", None),
        ] {
            assert_eq!(tokens(Some(&serde_json::from_str(usage).unwrap())), expected, "{usage}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_panics(body in prop::collection::vec(any::<u8>(), 0..200), rows in 0usize..4) {
            for shape in [Shape::Data, Shape::ByType] {
                drop(shape.read(&body, rows, Some(2)));
            }
        }

        #[test]
        fn any_order_is_put_right(order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle()) {
            let items: Vec<String> =
                order.iter().map(|i| format!(r#"{{"index":{i},"embedding":[{i},1]}}"#)).collect();
            let vectors = data(&format!(r#"{{"data":[{}]}}"#, items.join(",")), 9).unwrap();
            prop_assert!(vectors.iter().enumerate().all(|(i, v)| v[0] == i as f32));
        }
    }
}
