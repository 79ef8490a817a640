//! From a pickle to the table of tensors: names, and where each one lies.

use std::{collections::BTreeMap, ops::Range};

use imbed_core::Result;

use super::{
    damaged,
    pickle::{Id, Pickle, Storage, Tensor, Value},
};
use crate::weights::view::View;

/// The tensors in the dictionary that the pickle is of, or in its `state_dict` where a training run saved more than weights.
/// `place` finds a storage in the file.
pub(super) fn tensors(
    pickle: &Pickle<'_>,
    place: impl Fn(&Storage<'_>) -> Result<Range<usize>>,
) -> Result<Vec<(String, View)>> {
    let Value::Dict(root) = pickle.root() else { return Err(damaged("the pickle is not of a table of tensors")) };
    let inner = root.iter().rev().find_map(|(key, value)| match (pickle.get(*key), pickle.get(*value)) {
        (Value::Text("state_dict"), Value::Dict(inner)) => Some(inner),
        _ => None,
    });
    let mut views = BTreeMap::new();
    for (name, tensor) in named(pickle, inner.unwrap_or(root)) {
        let view = view(tensor, &place).map_err(|e| e.context(format_args!("tensor '{}'", name.escape_debug())))?;
        views.insert(name.to_owned(), view);
    }
    if views.is_empty() {
        return Err(damaged("the pickle has no table of tensors by name")
            .hint("save the model's state_dict, and not the model or a table that holds it under another key"));
    }
    Ok(views.into_iter().collect())
}

/// The pairs of a name and a tensor; others (a step count, say) are not weights.
fn named<'p, 'a>(pickle: &'p Pickle<'a>, pairs: &'p [(Id, Id)]) -> impl Iterator<Item = (&'a str, &'p Tensor<'a>)> {
    pairs.iter().filter_map(|(key, value)| match (pickle.get(*key), pickle.get(*value)) {
        (Value::Text(name), Value::Tensor(tensor)) => Some((*name, &**tensor)),
        _ => None,
    })
}

fn view(tensor: &Tensor<'_>, place: impl Fn(&Storage<'_>) -> Result<Range<usize>>) -> Result<View> {
    let range = place(&tensor.storage)?;
    let bytes = tensor.storage.bytes().filter(|bytes| *bytes <= range.len()).ok_or_else(|| {
        let message = format!("{} elements do not fit into the {} bytes stored", tensor.storage.elements, range.len());
        damaged(message)
    })?;
    let range = range.start..range.start + bytes;
    View::strided(tensor.dtype, tensor.shape.clone(), tensor.strides.clone(), tensor.offset, range).map_err(damaged)
}
