//! Files of `torch.save`: a pickle that says what there is, and the raw numbers beside it.
//!
//! A pickle is a program for a small machine that may call any Python function, which is how such files run code where they
//! are loaded. Here nothing of that kind exists: `pickle` knows the operations that a table of tensors needs, `globals` the
//! few names that it refers to, and everything else is an error with the operation's or the name's own name in it.
//!
//! Two containers are read. Since torch 1.6 it is a zip archive (`archive`) with the pickle and one entry for each storage,
//! none of them compressed, so that tensors are read from where they lie in the file. Before, it was a row of pickles with
//! the storages after them (`legacy`).

mod archive;
mod globals;
mod legacy;
mod opcode;
mod pickle;
mod state;

use imbed_core::{Error, ErrorKind, Result};

use super::view::View;
use archive::Archive;
use pickle::Pickle;

/// Where the tensors of a file lie, by name.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, View)>> {
    if bytes.starts_with(archive::MAGIC) {
        zipped(bytes)
    } else if bytes.starts_with(legacy::MAGIC) {
        legacy::read(bytes)
    } else {
        Err(damaged("not a file of torch.save: it starts neither as a zip archive nor as torch's older format"))
    }
}

fn zipped(bytes: &[u8]) -> Result<Vec<(String, View)>> {
    let archive = Archive::open(bytes)?;
    let root = archive.root()?;
    let part = |name: &str| archive.get(&format!("{root}/{name}"));
    if part("constants.pkl").is_some() {
        return Err(damaged("a TorchScript program, and not a table of tensors")
            .hint("save the state_dict of the model that it was made from"));
    }
    if let Some(order) = part("byteorder").and_then(|range| bytes.get(range))
        && order != b"little"
    {
        return Err(damaged(format!("its numbers are stored in byte order '{}'", order.escape_ascii()))
            .hint("load it with torch and save it again on a little-endian machine"));
    }
    let pickle = part("data.pkl").and_then(|range| bytes.get(range)).unwrap_or_default();
    let pickle = Pickle::read(pickle).map_err(|e| e.context("data.pkl"))?;
    state::tensors(&pickle, |storage| {
        let name = format!("data/{}", storage.key);
        part(&name).ok_or_else(|| damaged(format!("the archive has no entry '{}'", name.escape_debug())))
    })
}

/// An error about a file that is not what `torch.save` writes.
fn damaged(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, why).hint("fetch the file again and compare its size with the published one")
}

/// An error about something in a pickle that is not needed for weights and that is therefore not done.
fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, what).hint(
        "no code is run from a weights file; if you trust its source, load it with torch and save its tensors as \
         model.safetensors",
    )
}

/// An error about a file that asks for more than any checkpoint needs.
fn too_much(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Limit, what).hint("no published checkpoint comes near this; do not trust the file")
}
