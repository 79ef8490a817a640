//! How large values may be that a file has once and rows have often: the average of a row says nothing of them.

use std::{fs::File, sync::Arc};

use parquet::{
    arrow::ProjectionMask,
    basic::Type,
    column::page::{Page, PageReader},
    errors::Result,
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        serialized_reader::SerializedPageReader,
    },
};

/// Bytes of the largest row that the dictionaries of a row group can make, of the columns in `mask`.
pub(super) fn largest(file: &Arc<File>, group: &RowGroupMetaData, mask: &ProjectionMask) -> Result<u64> {
    let rows = usize::try_from(group.num_rows()).unwrap_or_default();
    let columns = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
    columns.map(|(_, column)| of_column(file, column, rows)).sum()
}

fn of_column(file: &Arc<File>, column: &ColumnChunkMetaData, rows: usize) -> Result<u64> {
    let is_long = matches!(column.column_type(), Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
    if !is_long || rows == 0 {
        return Ok(0);
    }
    let mut pages = SerializedPageReader::new(Arc::clone(file), column, rows, None)?;
    if !pages.peek_next_page()?.is_some_and(|page| page.is_dict) {
        return Ok(0);
    }
    let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? else { return Ok(0) };
    Ok(match column.column_type() {
        Type::BYTE_ARRAY => longest(&buf),
        _ => u64::try_from(column.column_descr().type_length()).unwrap_or_default(),
    })
}

/// The length of the longest of values that each stand behind their length, 4 bytes, the lowest first.
fn longest(mut values: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, rest)) = values.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(length.into());
        values = rest.get(length as usize..).unwrap_or_default();
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_value_is_found_also_where_the_last_is_cut_off() {
        assert_eq!(longest(b""), 0);
        assert_eq!(longest(b"\x02\0\0\0ab\x03\0\0\0abc\x01\0\0\0a"), 3);
        assert_eq!(longest(b"\x02\0\0\0ab\x03\0\0\0a"), 3);
        assert_eq!(longest(b"\x02\0\0\0ab\x09\0"), 2);
    }
}
