//! Everything but images: JSON, options, graphs.

use imbed_core::{Registry, options::OptionMap, preprocess::from_preprocessor_config};
use serde_json::Value;

/// A graph, and the `config.json` beside it, whose length the first two bytes say.
pub(crate) fn onnx(input: &[u8]) {
    let Some((length, rest)) = input.split_first_chunk() else { return };
    let (config, graph) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    imbed_provider_onnx::fuzzing::graph(graph, config);
}

pub(crate) fn processor(text: &[u8]) {
    let Ok(config) = serde_json::from_slice::<Value>(text) else { return };
    if let Ok(recipe) = from_preprocessor_config(&config) {
        let _ = recipe.output_size();
        let _ = recipe.with_image_size(384);
    }
}

/// Options of every provider, as SQL's `options =>` and `imbed.toml` give them.
pub(crate) fn options(text: &[u8]) {
    let Ok(Value::Object(given)) = serde_json::from_slice::<Value>(text) else { return };
    let mut map = OptionMap::default();
    for (name, value) in &given {
        match value {
            Value::String(text) => map.set(name, text),
            value => map.lay_over([(name.clone(), value.clone())]),
        }
    }
    for provider in Registry::linked().iter() {
        if let Ok(options) = map.read(provider.option_specs()) {
            // Of the built-in model there is nothing to look up.
            let _ = serde_json::to_string(&options);
        }
    }
}

/// A reply to as many images as the first byte says.
pub(crate) fn reply(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let width = (choice & 1 == 1).then_some(usize::from(choice >> 4));
    imbed_provider_openai::fuzzing::reply(body, usize::from(choice >> 1 & 7), width);
}

/// A model's name, a line's end, and what a hub says of it.
pub(crate) fn listing(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    if let Ok(name) = std::str::from_utf8(&input[..end]) {
        imbed_hub::fuzzing::listing(name, &input[end + 1..]);
    }
}
