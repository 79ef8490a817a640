//! Parts become one file: their row groups are copied as they are, nothing is encoded again.

use std::{fs::File, io::BufWriter, ops::Range, path::PathBuf, sync::Arc};

use imbed::core::{Error, ErrorKind, Result};
use parquet::{
    column::writer::ColumnCloseResult,
    file::{
        metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
};

use super::stretch;
use crate::sink::{atomic::AtomicFile, unwritable};

/// Row groups of a file; all of them where no range is given.
pub(super) struct Piece {
    pub(super) path: PathBuf,
    pub(super) groups: Option<Range<usize>>,
}

/// Writes the row groups of all `pieces`, one after the other, into `file`. `footer` makes what stands at its end of how many
/// each had.
pub(super) fn join(
    pieces: &[Piece],
    file: AtomicFile,
    footer: impl FnOnce(&[usize]) -> KeyValue,
) -> Result<AtomicFile> {
    let mut file = Some(BufWriter::new(file));
    let mut writer: Option<SerializedFileWriter<BufWriter<AtomicFile>>> = None;
    let mut counts = Vec::new();
    let mut described = Vec::new();
    for piece in pieces {
        let input = File::open(&piece.path).map_err(|e| Error::io(piece.path.display(), e))?;
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&input)
            .map_err(|e| unwritable(e).context(piece.path.display()))?;
        if let Some(file) = file.take() {
            described = description(&metadata);
            let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
            writer = Some(SerializedFileWriter::new(file, schema, properties()).map_err(unwritable)?);
        }
        let same = |writer: &SerializedFileWriter<_>| {
            writer.schema_descr().root_schema() == metadata.file_metadata().schema_descr().root_schema()
        };
        if !writer.as_ref().is_some_and(same) {
            let other = Error::new(ErrorKind::Internal, "the columns of a part are others than those before it");
            return Err(other.context(piece.path.display()));
        }
        let groups = piece.groups.clone().unwrap_or(0..metadata.num_row_groups());
        counts.push(groups.len());
        if let Some(writer) = &mut writer {
            for group in groups {
                copy(writer, &input, &metadata, group).map_err(|e| unwritable(e).context(piece.path.display()))?;
            }
        }
    }
    let Some(mut writer) = writer else {
        return Err(Error::new(ErrorKind::Internal, "there is no part to make a file of"));
    };
    described.push(footer(&counts));
    for pair in described {
        writer.append_key_value_metadata(pair);
    }
    let buffered = writer.into_inner().map_err(unwritable)?;
    buffered.into_inner().map_err(|e| unwritable(e.into_error()))
}

fn properties() -> WriterPropertiesPtr {
    Arc::new(WriterProperties::builder().set_created_by(super::super::parquet::CREATED_BY.to_owned()).build())
}

/// What a file says of itself beside its rows, the Arrow schema above all, but not of what parts it is made.
fn description(metadata: &ParquetMetaData) -> Vec<KeyValue> {
    let pairs = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
    pairs.into_iter().filter(|pair| !stretch::is_ours(&pair.key)).collect()
}

fn copy(
    writer: &mut SerializedFileWriter<BufWriter<AtomicFile>>,
    input: &File,
    metadata: &ParquetMetaData,
    group: usize,
) -> parquet::errors::Result<()> {
    let from = metadata.row_group(group);
    let columns = metadata.column_index().and_then(|index| index.get(group));
    let offsets = metadata.offset_index().and_then(|index| index.get(group));
    let mut into = writer.next_row_group()?;
    for (i, column) in from.columns().iter().enumerate() {
        let close = ColumnCloseResult {
            bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
            rows_written: u64::try_from(from.num_rows()).unwrap_or_default(),
            metadata: column.clone(),
            bloom_filter: None,
            column_index: columns.and_then(|columns| columns.get(i)).cloned(),
            offset_index: offsets.and_then(|offsets| offsets.get(i)).cloned(),
        };
        into.append_column(input, close)?;
    }
    into.close().map(drop)
}
