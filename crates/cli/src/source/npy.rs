//! Reading back what the `.npy` output wrote: float32 in row-major order, `[rows, dimensions]`; for inspection only.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};

use arrow_array::{FixedSizeListArray, Float32Array, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field, Schema};
use imbed::core::{Error, ErrorKind, Result};

use super::batches::{Batches, MAX_ROWS, Opened, unreadable};

/// The name that the column of vectors is given; the format has none.
const COLUMN: &str = "embedding";

struct Npy {
    reader: BufReader<File>,
    rows: u64,
    dimensions: usize,
}

pub(super) fn open(path: &Path) -> Result<Opened> {
    let npy = Npy::open(path)?;
    let schema = Schema::new(vec![field(npy.dimensions)]);
    Ok(Opened { schema: Arc::new(schema), rows: Some(npy.rows), detail: "NumPy array".to_owned() })
}

pub(super) fn read(path: &Path) -> Result<Batches> {
    let Npy { mut reader, rows, dimensions } = Npy::open(path)?;
    let schema = Arc::new(Schema::new(vec![field(dimensions)]));
    let mut left = rows;
    Ok(Box::new(std::iter::from_fn(move || {
        let rows = left.min(MAX_ROWS as u64) as usize;
        left -= rows as u64;
        (rows > 0).then(|| {
            let mut bytes = vec![0; rows * dimensions * size_of::<f32>()];
            reader.read_exact(&mut bytes).map_err(|e| Error::io("values", e))?;
            let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            // A row of nothing but NaN is how a null was written.
            let valid = values.chunks_exact(dimensions).map(|row| !row.iter().all(|v| v.is_nan()));
            let nulls = NullBuffer::new(valid.collect::<BooleanBuffer>());
            let DataType::FixedSizeList(item, size) = schema.field(0).data_type() else {
                return Err(Error::new(ErrorKind::Internal, "the column of vectors is a list"));
            };
            let vectors =
                FixedSizeListArray::try_new(Arc::clone(item), *size, Arc::new(Float32Array::from(values)), Some(nulls));
            let vectors = vectors.map_err(unreadable)?;
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(vectors)]).map_err(unreadable)
        })
    })))
}

fn field(dimensions: usize) -> Field {
    Field::new_fixed_size_list(COLUMN, Field::new("item", DataType::Float32, false), dimensions as i32, true)
}

impl Npy {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::BadInput, format!("this .npy file {what}"))
                .hint("only two-dimensional float32 arrays in C order are read, as `imbed embed -o x.npy` writes them")
        };
        let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io("open", e))?);
        let mut start = [0; 10];
        reader.read_exact(&mut start).map_err(|e| Error::io("header", e))?;
        if !start.starts_with(b"\x93NUMPY\x01") {
            return Err(wrong("does not begin as version 1.0 of the format does"));
        }
        let mut header = vec![0; u16::from_le_bytes([start[8], start[9]]).into()];
        reader.read_exact(&mut header).map_err(|e| Error::io("header", e))?;
        let header = String::from_utf8_lossy(&header);
        if !header.contains("'<f4'") || !header.contains("'fortran_order': False") {
            return Err(wrong("holds another type or order"));
        }
        let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).map(|(shape, _)| shape);
        let mut sizes = shape.unwrap_or_default().split(',').map(|n| n.trim().parse::<u64>());
        match (sizes.next(), sizes.next(), sizes.next()) {
            (Some(Ok(rows)), Some(Ok(dimensions)), None) if (1..=1 << 20).contains(&dimensions) => {
                Ok(Self { reader, rows, dimensions: dimensions as usize })
            }
            _ => Err(wrong("has another shape")),
        }
    }
}
