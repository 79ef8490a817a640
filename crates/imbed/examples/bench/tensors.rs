//! A safetensors file of drawn numbers, written as they are drawn: the largest has 1.7 GB.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use imbed::core::{Error, Result};
use serde_json::{Map, Value, json};

use super::random::Normal;

/// One tensor to draw.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) mean: f32,
    pub(crate) deviation: f32,
}

impl Tensor {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Writes them to `path` in f32, in their order.
pub(crate) fn write(path: &Path, tensors: &[Tensor], seed: u64) -> Result<()> {
    let fails = |e| Error::io(path.display(), e);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(fails)?);
    let header = header(tensors);
    out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(fails)?;
    let mut normal = Normal::new(seed);
    for tensor in tensors {
        let mut left = tensor.len();
        while left > 0 {
            let drawn = normal.four();
            for x in &drawn[..left.min(4)] {
                out.write_all(&x.mul_add(tensor.deviation, tensor.mean).to_le_bytes()).map_err(fails)?;
            }
            left -= left.min(4);
        }
    }
    out.flush().map_err(fails)
}

/// The names, padded with spaces so that the numbers begin at a multiple of eight.
fn header(tensors: &[Tensor]) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for tensor in tensors {
        let end = start + 4 * tensor.len();
        let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        entries.insert(tensor.name.clone(), entry);
        start = end;
    }
    let mut header = Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}
