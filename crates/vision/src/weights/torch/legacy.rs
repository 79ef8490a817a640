//! What `torch.save` wrote before 1.6: pickles of a magic number, of the protocol's number, of the machine's byte order, of
//! the table, and of the storages' keys; then the storages in the order of these keys, each after its count of elements.

use std::{collections::HashMap, ops::Range};

use imbed_core::{Error, Result};

use super::{
    damaged,
    pickle::{Pickle, Value},
    state,
};
use crate::weights::view::View;

/// The pickle of the magic number.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The only protocol there was.
const PROTOCOL: i64 = 1001;

pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, View)>> {
    let mut at = MAGIC.len();
    let mut next = |what: &str| {
        let pickle = Pickle::read(bytes.get(at..).unwrap_or_default()).map_err(|e| e.context(what))?;
        at += pickle.len;
        Ok::<_, Error>(pickle)
    };
    if !matches!(next("the protocol's number")?.root(), Value::Int(PROTOCOL)) {
        return Err(damaged(format!("its protocol is not {PROTOCOL}")));
    }
    if !is_little_endian(&next("the byte order")?) {
        return Err(damaged("its numbers are not stored in little-endian byte order")
            .hint("load it with torch and save it again on a little-endian machine"));
    }
    let table = next("the table of tensors")?;
    let keys = next("the list of storages")?;
    let places = places(bytes, at, &table, &keys)?;
    state::tensors(&table, |storage| {
        let range = places.get(storage.key).cloned();
        range.ok_or_else(|| damaged(format!("the storage '{}' is not in the file", storage.key.escape_debug())))
    })
}

fn is_little_endian(info: &Pickle<'_>) -> bool {
    let Value::Dict(pairs) = info.root() else { return false };
    pairs.iter().any(|(key, value)| {
        matches!((info.get(*key), info.get(*value)), (Value::Text("little_endian"), Value::Bool(true)))
    })
}

/// Where the storages are, which begin at `at`.
fn places<'a>(
    bytes: &[u8],
    mut at: usize,
    table: &Pickle<'a>,
    keys: &Pickle<'a>,
) -> Result<HashMap<&'a str, Range<usize>>> {
    let sizes: HashMap<&str, usize> = table
        .storages
        .iter()
        .map(|storage| (storage.key, storage.dtype.map_or(1, |dtype| dtype.bitsize() / 8)))
        .collect();
    let Value::List(list) = keys.root() else { return Err(damaged("its list of storages is not a list")) };
    let mut places = HashMap::new();
    for key in list {
        let Value::Text(key) = keys.get(*key) else { return Err(damaged("the key of a storage is not a string")) };
        let named = key.escape_debug();
        let size = sizes.get(key).ok_or_else(|| damaged(format!("no tensor refers to the storage '{named}'")))?;
        let range = bytes.get(at..).and_then(<[u8]>::first_chunk).and_then(|count| {
            let length = usize::try_from(i64::from_le_bytes(*count)).ok()?.checked_mul(*size)?;
            let end = (at + 8).checked_add(length)?;
            (end <= bytes.len()).then_some(at + 8..end)
        });
        let range = range.ok_or_else(|| damaged(format!("the file ends within the storage '{named}'")))?;
        at = range.end;
        places.insert(*key, range);
    }
    Ok(places)
}
