//! What each service expects and answers, written down a second time and independently of the provider.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Numbers per vector of the fake services.
pub(crate) const WIDTH: usize = 6;

/// Tokens that the fake services count for an image.
const TOKENS: usize = 7;

/// One service's side of a dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) dialect: &'static str,
    pub(crate) path: &'static str,
    /// Images of a request at most.
    pub(crate) rows: usize,
    /// Where the images of a request are.
    images: fn(&Value) -> Vec<&Value>,
    /// The whole request that these images should come in.
    request: fn(&[&Value]) -> Value,
    /// Images come as bare base64.
    bare: bool,
    /// Vectors come back as `embeddings`.
    by_type: bool,
    /// Vectors come back as base64.
    base64: bool,
}

impl Wire {
    pub(crate) const INFINITY: Self = Self {
        dialect: "infinity",
        path: "/embeddings",
        rows: 32,
        images: |body| list(&body["input"]),
        request: |images| json!({"model": "a-model", "modality": "image", "encoding_format": "base64", "input": images}),
        bare: false,
        by_type: false,
        base64: true,
    };
    pub(crate) const VLLM: Self = Self {
        dialect: "vllm",
        path: "/v1/embeddings",
        rows: 1,
        images: |body| vec![&body["messages"][0]["content"][0]["image_url"]["url"]],
        request: |images| {
            let content = json!([{"type": "image_url", "image_url": {"url": images[0]}}]);
            json!({"model": "a-model", "encoding_format": "base64", "messages": [{"role": "user", "content": content}]})
        },
        bare: false,
        by_type: false,
        base64: true,
    };
    pub(crate) const VLLM_V2: Self = Self {
        dialect: "vllm-v2",
        path: "/v2/embed",
        rows: 96,
        images: |body| list(&body["images"]),
        request: |images| json!({"model": "a-model", "embedding_types": ["float"], "images": images}),
        bare: false,
        by_type: true,
        base64: false,
    };
    pub(crate) const JINA: Self = Self {
        dialect: "jina",
        path: "/v1/embeddings",
        rows: 64,
        images: |body| list(&body["input"]).into_iter().map(|input| &input["image"]).collect(),
        request: |images| {
            let input: Vec<Value> = images.iter().map(|image| json!({"image": image})).collect();
            json!({"model": "a-model", "normalized": true, "embedding_type": "float", "input": input})
        },
        bare: true,
        by_type: false,
        base64: false,
    };
    pub(crate) const VOYAGE: Self = Self {
        dialect: "voyage",
        path: "/v1/multimodalembeddings",
        rows: 1000,
        images: |body| list(&body["inputs"]).into_iter().map(|input| &input["content"][0]["image_base64"]).collect(),
        request: |images| {
            let part = |image: &&Value| json!({"content": [{"type": "image_base64", "image_base64": image}]});
            let inputs: Vec<Value> = images.iter().map(part).collect();
            json!({"model": "a-model", "encoding_format": "base64", "inputs": inputs})
        },
        bare: false,
        by_type: false,
        base64: true,
    };
    pub(crate) const COHERE: Self = Self {
        dialect: "cohere",
        path: "/v2/embed",
        rows: 96,
        images: |body| list(&body["images"]),
        request: |images| json!({"model": "a-model", "input_type": "image", "embedding_types": ["float"], "images": images}),
        bare: false,
        by_type: true,
        base64: false,
    };
    pub(crate) const ALL: [Self; 6] =
        [Self::INFINITY, Self::VLLM, Self::VLLM_V2, Self::JINA, Self::VOYAGE, Self::COHERE];

    /// The same, with vectors as base64 or as numbers.
    pub(crate) fn with_base64(self, base64: bool) -> Self {
        Self { base64, ..self }
    }

    /// Whether a request is about the one model that there is, or which other it is about.
    pub(crate) fn model(body: &[u8]) -> Result<(), String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match body["model"].as_str() {
            Some(other) if other != "a-model" => Err(other.to_owned()),
            _ => Ok(()),
        }
    }

    /// The files in a request, or what is wrong with it. `also` are fields that this test expects beside the usual ones.
    pub(crate) fn read(&self, body: &[u8], also: &Value) -> Result<Vec<Vec<u8>>, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
        let images = (self.images)(&body);
        if images.is_empty() || images.len() > self.rows {
            return Err(format!("{} images in a request", images.len()));
        }
        let mut expected = (self.request)(&images);
        for (name, value) in also.as_object().into_iter().flatten() {
            expected[name] = value.clone();
        }
        if body != expected {
            return Err(format!("unexpected request: {body}"));
        }
        images.into_iter().map(|image| self.file(image)).collect()
    }

    fn file(&self, image: &Value) -> Result<Vec<u8>, String> {
        let text = image.as_str().ok_or("an image that is no text")?;
        let (media_type, text) = match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((media_type, text)) if !self.bare => (Some(media_type), text),
            None if self.bare => (None, text),
            _ => return Err(format!("an image in the wrong form: {text}")),
        };
        let bytes = STANDARD.decode(text).map_err(|e| format!("not base64: {e}"))?;
        let found = if bytes.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
        if media_type.is_some_and(|given| given != found) {
            return Err(format!("{media_type:?} on an {found}"));
        }
        Ok(bytes)
    }

    /// The answer with `vectors`, each under its index.
    pub(crate) fn answer(&self, vectors: &[(usize, Vec<f32>)]) -> Value {
        let numbers = |vector: &[f32]| {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            if self.base64 { json!(STANDARD.encode(bytes)) } else { json!(vector) }
        };
        let tokens = TOKENS * vectors.len();
        if self.by_type {
            let mut in_order = vectors.to_vec();
            in_order.sort_by_key(|(index, _)| *index);
            let lists: Vec<Value> = in_order.iter().map(|(_, vector)| numbers(vector)).collect();
            let form = if self.base64 { "base64" } else { "float" };
            return json!({
                "id": "1", "texts": [], "response_type": "embeddings_by_type",
                "embeddings": {form: lists},
                "meta": {"api_version": {"version": "2"}, "billed_units": {"images": vectors.len(), "image_tokens": tokens}},
            });
        }
        let data: Vec<Value> = vectors
            .iter()
            .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": numbers(vector)}))
            .collect();
        json!({"object": "list", "data": data, "model": "a-model", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
    }
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

/// The vector of a file: a hash, so that any changed or swapped byte shows.
pub(crate) fn vector(bytes: &[u8]) -> Vec<f32> {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..WIDTH)
        .map(|i| {
            hash = (hash ^ i as u64).wrapping_mul(0x0100_0000_01b3);
            // Exact in f32 and in a JSON number, and never zero.
            ((hash >> 40) + 1) as f32 / 16_777_216.0
        })
        .collect()
}
