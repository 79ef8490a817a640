//! What tests and measurements of clusters share.

// Each program uses its own part of this.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod delayed;
pub(crate) mod disguises;
pub(crate) mod logs;
pub(crate) mod processes;
pub(crate) mod recorder;
pub(crate) mod service;

use std::{fs::File, path::Path, sync::Arc};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use imbed_core::image::{EncodeFormat, Image, Mode, Samples, encode};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

/// A small PNG file, different for each `id`.
pub(crate) fn png(id: i64) -> Vec<u8> {
    let mut state = id as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let pixels = (0..16 * 16 * 3).map(|_| noise()).collect();
    encode(&Image::new(Mode::Rgb, 16, 16, Samples::U8(pixels)).unwrap(), EncodeFormat::Png).unwrap()
}

/// Writes a table with the columns `id` and `image`, in row groups of `group` rows.
pub(crate) fn table(path: &Path, rows: i64, group: usize) {
    let columns = |first: i64, last: i64| {
        let ids = Arc::new(Int64Array::from_iter_values(first..last)) as ArrayRef;
        let images = Arc::new(BinaryArray::from_iter_values((first..last).map(png))) as ArrayRef;
        RecordBatch::try_from_iter([("id", ids), ("image", images)]).unwrap()
    };
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).set_dictionary_enabled(false);
    let schema = columns(0, 0).schema();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, Some(properties.build())).unwrap();
    for first in (0..rows).step_by(group) {
        writer.write(&columns(first, rows.min(first + group as i64))).unwrap();
    }
    writer.close().unwrap();
}
