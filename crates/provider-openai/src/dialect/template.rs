//! The body of a request as data: JSON with places that are filled for each call.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use imbed_core::EncodedImage;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// JSON with places to fill. A dialect's request is a constant of this.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Json {
    /// This text.
    Text(&'static str),
    /// `true`.
    True,
    /// A list of these.
    List(&'static [Json]),
    /// An object with these fields; a field whose value is absent is left out.
    Object(&'static [(&'static str, Json)]),
    /// The model's name.
    Model,
    /// The numbers per vector that the service shall cut to; absent where it shall not.
    Dimensions,
    /// The option `input_type`; absent where it is not given.
    InputType,
    /// The word for how vectors come back, as a list of numbers or as base64; absent where there is no word.
    Encoding {
        /// As numbers.
        float: Option<&'static str>,
        /// As base64 of little-endian f32.
        base64: &'static str,
    },
    /// A list with this for each image.
    Each(&'static Json),
    /// The image as `data:image/png;base64,…`. Outside [`Each`](Self::Each) the only image of the request.
    DataUri,
    /// The image as base64 alone.
    Base64,
}

/// What the places are filled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) model: &'a str,
    pub(crate) dimensions: Option<usize>,
    pub(crate) input_type: Option<&'a str>,
    /// Vectors come back as base64.
    pub(crate) base64: bool,
    pub(crate) images: &'a [EncodedImage],
}

impl Json {
    /// The text of the request.
    pub(crate) fn fill(&'static self, values: &Values<'_>) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Filled { json: self, values, image: values.images.first() })
    }

    /// Whether `place` stands anywhere in the request.
    pub(crate) fn has(&self, place: &Json) -> bool {
        self == place
            || match self {
                Self::List(items) => items.iter().any(|item| item.has(place)),
                Self::Object(fields) => fields.iter().any(|(_, value)| value.has(place)),
                Self::Each(item) => item.has(place),
                _ => false,
            }
    }

    fn is_absent(&self, values: &Values<'_>) -> bool {
        match self {
            Self::Dimensions => values.dimensions.is_none(),
            Self::InputType => values.input_type.is_none(),
            Self::Encoding { float: None, .. } => !values.base64,
            _ => false,
        }
    }
}

/// A place and what stands in it. Images are written into the text as they are read, without a copy of their base64.
struct Filled<'a> {
    json: &'static Json,
    values: &'a Values<'a>,
    image: Option<&'a EncodedImage>,
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self { json, values, image } = *self;
        let inner = |json| Filled { json, values, image };
        match json {
            Json::Text(text) => out.serialize_str(text),
            Json::True => out.serialize_bool(true),
            Json::List(items) => {
                let mut list = out.serialize_seq(None)?;
                for item in items.iter().filter(|item| !item.is_absent(values)) {
                    list.serialize_element(&inner(item))?;
                }
                list.end()
            }
            Json::Object(fields) => {
                let mut map = out.serialize_map(None)?;
                for (name, value) in fields.iter().filter(|(_, value)| !value.is_absent(values)) {
                    map.serialize_entry(name, &inner(value))?;
                }
                map.end()
            }
            Json::Model => out.serialize_str(values.model),
            Json::Dimensions => values.dimensions.serialize(out),
            Json::InputType => values.input_type.serialize(out),
            Json::Encoding { float, base64 } => {
                let word = if values.base64 { Some(*base64) } else { *float };
                word.serialize(out)
            }
            Json::Each(item) => {
                let mut list = out.serialize_seq(Some(values.images.len()))?;
                for image in values.images {
                    list.serialize_element(&Filled { json: item, values, image: Some(image) })?;
                }
                list.end()
            }
            Json::DataUri | Json::Base64 => {
                let image = image.ok_or_else(|| serde::ser::Error::custom("a request without an image"))?;
                let base64 = Base64Display::new(&image.bytes, &STANDARD);
                if matches!(json, Json::Base64) {
                    return out.collect_str(&base64);
                }
                out.collect_str(&format_args!("data:{};base64,{base64}", image.media_type))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: Json = Json::Object(&[
        ("model", Json::Model),
        ("size", Json::Dimensions),
        ("task", Json::InputType),
        ("as", Json::Encoding { float: None, base64: "b64" }),
        ("images", Json::Each(&Json::Object(&[("uri", Json::DataUri), ("bare", Json::Base64)]))),
        ("fixed", Json::List(&[Json::Text("x"), Json::True])),
    ]);

    fn image(bytes: &[u8]) -> EncodedImage {
        EncodedImage { bytes: bytes.into(), media_type: "image/png" }
    }

    fn filled(values: &Values<'_>) -> String {
        String::from_utf8(TEMPLATE.fill(values).unwrap()).unwrap()
    }

    #[test]
    fn every_place_is_filled() {
        let images = [image(b"a"), image(b"bc")];
        let values =
            Values { model: "m\"", dimensions: Some(3), input_type: Some("query"), base64: true, images: &images };
        assert_eq!(
            filled(&values),
            concat!(
                r#"{"model":"m\"","size":3,"task":"query","as":"b64","images":["#,
                r#"{"uri":"data:image/png;base64,YQ==","bare":"YQ=="},"#,
                r#"{"uri":"data:image/png;base64,YmM=","bare":"YmM="}],"fixed":["x",true]}"#
            )
        );
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let values = Values { model: "m", dimensions: None, input_type: None, base64: false, images: &[] };
        assert_eq!(filled(&values), r#"{"model":"m","images":[],"fixed":["x",true]}"#);
    }

    #[test]
    fn a_place_is_found_however_deep() {
        assert!(TEMPLATE.has(&Json::DataUri) && TEMPLATE.has(&Json::True));
        assert!(!Json::Object(&[("a", Json::Model)]).has(&Json::Dimensions));
    }
}
