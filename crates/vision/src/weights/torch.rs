//! Files of `torch.save`: a pickle that says what there is, and the raw numbers beside it.
//!
//! A pickle is a program for a small machine that may call any Python function, which is how such files run code where they
//! are loaded. Here nothing of that kind exists: `machine`, which `pickle` drives, knows the operations that a table of tensors needs, `globals` the
//! few names that it refers to, and everything else is an error with the operation's or the name's own name in it.
//!
//! Two containers are read. Since torch 1.6 it is a zip archive (`archive`) with the pickle and one entry for each storage,
//! none of them compressed, so that tensors are read from where they lie in the file. Before, it was a row of pickles with
//! the storages after them (`legacy`).

mod archive;
mod globals;
mod legacy;
mod machine;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::{
        archive::tests::{Oddity, zip},
        *,
    };

    const FILES: [&str; 2] = ["layouts.bin", "layouts-legacy.bin"];

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn every_layout_is_read_as_torch_reads_it() {
        let plain = fixture("layouts.safetensors");
        let plain = SafeTensors::deserialize(&plain).unwrap();
        for name in FILES {
            let file = fixture(name);
            let tensors = read(&file).unwrap();
            assert_eq!(tensors.len(), plain.len(), "{name}");
            for (tensor, view) in tensors {
                let expected = plain.tensor(&tensor).unwrap();
                assert_eq!(
                    (view.dtype, view.shape.as_slice()),
                    (expected.dtype(), expected.shape()),
                    "{name}: {tensor}"
                );
                assert_eq!(*view.bytes(&file), *expected.data(), "{name}: {tensor}");
            }
        }
    }

    /// A table of one tensor `a`, `[2]` f32, over the storage `0` of so many elements.
    fn table(elements: u8, offset: u8) -> Vec<u8> {
        let mut pickle =
            b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec();
        pickle.extend(b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK");
        pickle.extend([elements, b't', b'Q', b'K', offset]);
        pickle.extend(b"K\x02\x85K\x01\x85\x89}tRs.");
        pickle
    }

    fn error(entries: &[(&str, &[u8])], odd: Oddity) -> Error {
        read(&zip(entries, odd)).unwrap_err()
    }

    #[test]
    fn a_table_made_by_hand_is_read() {
        let file = zip(&[("m/data.pkl", &table(3, 1)), ("m/data/0", &[0; 12])], Oddity::default());
        let tensors = read(&file).unwrap();
        assert_eq!((tensors[0].0.as_str(), tensors[0].1.shape.as_slice()), ("a", [2].as_slice()));
    }

    #[test]
    fn a_tensor_that_leaves_what_is_stored_is_named() {
        for (pickle, stored, part) in
            [(table(2, 1), 8, "leave its 2 elements"), (table(4, 0), 12, "do not fit"), (table(2, 0), 7, "do not fit")]
        {
            let error = error(&[("m/data.pkl", &pickle), ("m/data/0", &vec![0; stored])], Oddity::default());
            assert!(error.message().contains("tensor 'a'") && error.message().contains(part), "{error}");
        }
        assert!(error(&[("m/data.pkl", &table(2, 0))], Oddity::default()).message().contains("'data/0'"));
    }

    #[test]
    fn a_pickle_that_would_run_code_is_refused_by_name() {
        let pickle = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.";
        let error = error(&[("m/data.pkl", pickle)], Oddity::default());
        assert!(error.message().contains("'os.system'"), "{error}");
        assert!(error.hint_text().unwrap().contains("no code is run"), "{error}");
    }

    #[test]
    fn what_is_not_a_table_of_tensors_says_what_it_is() {
        let table = table(2, 0);
        let (plain, data) = (Oddity::default(), [0; 8]);
        let deflated = Oddity { method: 8, ..plain };
        for (entries, odd, part) in [
            (vec![("m/data.pkl", table.as_slice()), ("m/constants.pkl", b"")], plain, "TorchScript"),
            (vec![("m/data.pkl", table.as_slice()), ("m/byteorder", b"big")], plain, "byte order 'big'"),
            (vec![("m/data.pkl", table.as_slice()), ("m/data/0", data.as_slice())], deflated, "compressed"),
            (vec![("m/data.pkl", b"N.")], plain, "not of a table"),
            (vec![("m/data.pkl", b"}.")], plain, "no table of tensors"),
            (vec![("word/document.xml", b"")], plain, "no data.pkl"),
        ] {
            let error = error(&entries, odd);
            assert!(error.message().contains(part), "{error}");
        }
        for bytes in [b"".as_slice(), b"garbage", b"\x80\x02}q\x00.", b"\x89HDF\r\n"] {
            assert!(read(bytes).unwrap_err().message().contains("torch.save"));
        }
    }

    #[test]
    fn a_training_run_may_keep_its_table_under_state_dict() {
        let mut pickle = b"\x80\x02}X\x05\x00\x00\x00epochK\x03sX\x0a\x00\x00\x00state_dict".to_vec();
        let table = table(2, 0);
        pickle.extend(&table[2..table.len() - 1]);
        pickle.extend(b"s.");
        let file = zip(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 8])], Oddity::default());
        assert_eq!(read(&file).unwrap()[0].0, "a");
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused() {
        for name in FILES {
            let file = fixture(name);
            for length in 0..file.len() {
                assert!(read(&file[..length]).is_err(), "{name} cut to {length} bytes");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn no_damage_panics_or_reads_more_than_the_file_has(
            which in prop::sample::select(FILES.as_slice()),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut file = fixture(which);
            for (at, byte) in flips {
                let at = at.index(file.len());
                file[at] = byte;
            }
            for (_, view) in read(&file).unwrap_or_default() {
                prop_assert!(view.bytes(&file).len() <= file.len());
            }
        }
    }
}
