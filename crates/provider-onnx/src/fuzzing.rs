//! What the fuzz targets of `fuzz/` enter by. No stable interface.

use std::io::Cursor;

use imbed_core::options::Pooling;
use serde_json::Value;

use crate::{
    graph::{Graph, list},
    input,
    options::OnnxOptions,
    output,
};

/// Reads a graph, and decides what goes into it and what comes out. `config` is the `config.json` beside it.
pub fn graph(file: &[u8], config: &[u8]) {
    let Ok(graph) = Graph::read(Cursor::new(file), file.len() as u64) else { return };
    let config = serde_json::from_slice::<Value>(config).ok();
    let _ = list(&graph.inputs);
    for tensor in &graph.outputs {
        let _ = graph.needed_for(&tensor.name);
    }
    let options = OnnxOptions::default();
    for pooling in [None, Some(Pooling::Cls), Some(Pooling::Mean), Some(Pooling::Pooler)] {
        let Ok(info) = output::find(&graph, &options, pooling) else { continue };
        let Ok((image, _)) = input::choose(&graph, &info.name, &options) else { continue };
        let _ = output::describe(&graph, info, image.layout, &options, pooling, config.as_ref());
    }
}
