//! A pickle as data: what a table of tensors needs, in bounded memory.
//!
//! Objects live in one list and refer to each other by their place in it. So an object that the pickle uses many times is
//! there once, one that holds itself does no harm, and nothing recurses. Every operation makes one object at most, so a limit
//! on operations is a limit on memory.

use imbed_core::Result;
use safetensors::Dtype;

use super::{
    damaged,
    globals::Global,
    machine::{Machine, Stop},
    too_much,
};

/// The longest pickle; a thousand tensors take about 100 KiB.
const MAX_BYTES: usize = 64 << 20;
/// The most operations; a tensor takes about 40.
const MAX_STEPS: usize = 1 << 21;

/// The place of an object in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub(super) u32);

/// An object.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
    /// Something whose value does not matter for weights.
    Idle,
}

/// Numbers that stand elsewhere in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    /// `None` for plain bytes.
    pub(super) dtype: Option<Dtype>,
    pub(super) elements: usize,
}

impl Storage<'_> {
    /// Its size, in bytes.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.elements.checked_mul(self.dtype.map_or(1, |dtype| dtype.bitsize() / 8))
    }
}

/// A tensor over a storage; offset and strides are in elements.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) dtype: Dtype,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    objects: Vec<Value<'a>>,
    root: Id,
    /// Every storage that was referred to.
    pub(super) storages: Vec<Storage<'a>>,
    /// How long the pickle is; more may follow it.
    pub(super) len: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine::new(&bytes[..bytes.len().min(MAX_BYTES)]);
        for _ in 0..MAX_STEPS {
            let at = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => {
                    let Machine { objects, storages, at: len, .. } = machine;
                    return Ok(Self { objects, root, storages, len });
                }
                Err(Stop::End) if bytes.len() > MAX_BYTES => {
                    return Err(too_much(format!("the pickle is longer than {} MiB", MAX_BYTES >> 20)));
                }
                Err(Stop::End) => return Err(damaged(format!("the pickle ends after {at} bytes, before it is whole"))),
                Err(Stop::Error(error)) => return Err(error.context(format_args!("byte {at}"))),
            }
        }
        Err(too_much(format!("the pickle has more than {MAX_STEPS} operations")))
    }

    /// The object that the pickle is of.
    pub(super) fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    /// An object.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.objects.get(id.0 as usize).unwrap_or(&Value::None)
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;
    use crate::weights::torch::machine::{MAX_DEPTH, MAX_GLOBAL, MAX_STACK};

    fn error(bytes: &[u8]) -> imbed_core::Error {
        Pickle::read(bytes).unwrap_err()
    }

    #[test]
    fn a_call_of_anything_is_refused_by_name_and_nothing_runs() {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("ran");
        let command = format!("touch {}", trace.display());
        let mut reduce = b"\x80\x02cposix\nsystem\nX".to_vec();
        reduce.extend((command.len() as u32).to_le_bytes().iter().chain(command.as_bytes()).chain(b"\x85R."));
        for (pickle, name) in [
            (reduce.as_slice(), "posix.system"),
            (b"\x80\x02cos\nsystem\n.", "os.system"),
            (b"\x80\x02c__builtin__\neval\n.", "__builtin__.eval"),
            (b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"),
            (b"\x80\x02ctorch\nload\n.", "torch.load"),
            (b"\x80\x02ctorch.hub\nload\n.", "torch.hub.load"),
            (b"\x80\x02ctorch\nFloatStorage.from_file\n.", "torch.FloatStorage.from_file"),
            (b"\x80\x02ctorch._utils\n_rebuild_qtensor\n.", "torch._utils._rebuild_qtensor"),
            (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n.", "numpy.core.multiarray._reconstruct"),
        ] {
            let error = error(pickle);
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.message().contains(&format!("'{name}'")), "{error}");
            assert!(error.hint_text().unwrap().contains("no code is run"), "{error}");
        }
        assert!(!trace.exists());
    }

    #[test]
    fn an_operation_that_tables_do_not_need_is_refused_by_name() {
        for (pickle, name) in [
            (b"\x80\x04\x8c\x02os\x8c\x06system\x93.".as_slice(), "SHORT_BINUNICODE"),
            (b"\x80\x04\x95\x00\x00", "FRAME"),
            (b"(S'echo'\nios\nsystem\n.", "STRING"),
            (b"(ios\nsystem\n.", "INST"),
            (b"(cos\nsystem\no.", "os.system"),
            (b"ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
            (b"\x82\x01.", "EXT1"),
            (b"N2.", "DUP"),
            (b"\xff", "0xff"),
        ] {
            let error = error(pickle);
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn what_is_known_is_called_only_as_torch_does() {
        for pickle in [
            b"ctorch\nFloatStorage\nK\x08\x85R.".as_slice(),
            b"ccollections\nOrderedDict\n]\x85R.",
            b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
            b"ctorch._utils\n_rebuild_parameter\nN\x88}\x87R.",
            b"NNR.",
            b"NNb.",
            b"ctorch\nSize\n}b.",
            b"X\x07\x00\x00\x00storageQ.",
        ] {
            assert_eq!(error(pickle).kind(), ErrorKind::Model, "{}", pickle.escape_ascii());
        }
    }

    #[test]
    fn a_pickle_that_asks_for_too_much_is_refused_early() {
        let all = |open: &[u8], repeat: &[u8], n: usize| [open, &repeat.repeat(n)].concat();
        for (pickle, part) in [
            (all(b"", b"(", MAX_DEPTH + 1), "deep"),
            (all(b"", b"N", MAX_STACK + 1), "stack"),
            (all(b"]", b"Na", MAX_STEPS / 2), "operations"),
            (all(b"]q\x00", b"h\x00a", MAX_STEPS / 2), "operations"),
            (b"X\xff\xff\xff\xff".to_vec(), "string"),
            (all(b"c", b"a", MAX_GLOBAL), "global"),
        ] {
            let error = error(&pickle);
            assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn nesting_without_end_costs_no_stack_of_ours() {
        let pickle = [b")".as_slice(), &b"\x85".repeat(1 << 20), b"."].concat();
        assert!(matches!(Pickle::read(&pickle).unwrap().root(), Value::Tuple(items) if items.len() == 1));
        let holds_itself = Pickle::read(b"]q\x00h\x00a.").unwrap();
        assert!(matches!(holds_itself.root(), Value::List(items) if items == &[holds_itself.root]));
    }

    #[test]
    fn numbers_are_read_with_their_signs() {
        for (pickle, number) in [
            (b"J\xfe\xff\xff\xff.".as_slice(), -2),
            (b"M\xff\xff.", 65535),
            (b"\x8a\x00.", 0),
            (b"\x8a\x01\xff.", -1),
            (b"\x8a\x05\x00\x00\x00\x00\x01.", 1 << 32),
            (b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", i64::MAX),
        ] {
            assert!(matches!(Pickle::read(pickle).unwrap().root(), Value::Int(n) if *n == number), "{number}");
        }
        assert!(matches!(Pickle::read(b"\x8a\x0a0123456789.").unwrap().root(), Value::Idle));
    }

    #[test]
    fn a_pickle_that_takes_what_is_not_there_is_damaged() {
        for pickle in [
            b"".as_slice(),
            b".",
            b"(.",
            b"N(.",
            b"t.",
            b"N(\x85.",
            b"a",
            b"]Na",
            b"Nq",
            b"h\x00.",
            b"}(Nu.",
            b"}Ns.",
            b"NNa.",
            b"\x80\x09.",
            b"U\x02\xff\xfe.",
            b"c\n",
            b"J\x00",
        ] {
            assert_eq!(error(pickle).kind(), ErrorKind::Model, "{}", pickle.escape_ascii());
        }
    }

    /// Bytes that are operations more often than others.
    fn opcodes() -> impl Strategy<Value = Vec<u8>> {
        let known = b"\x80.(N\x88\x89JKM\x8aGXU)t\x85\x86\x87]ae}suqrhjcRbQ\x00\x01";
        prop::collection::vec(prop_oneof![4 => prop::sample::select(known.as_slice()), 1 => any::<u8>()], 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_panic_or_make_more_objects_than_there_are_bytes(bytes in opcodes()) {
            if let Ok(pickle) = Pickle::read(&bytes) {
                prop_assert!(pickle.objects.len() <= bytes.len() && pickle.len <= bytes.len());
            }
        }
    }
}
