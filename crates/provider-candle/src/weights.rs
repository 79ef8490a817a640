//! Weights on disk: safetensors files, memory-mapped and read tensor by tensor into f32.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use half::{bf16, f16};
use imbed_core::{Error, ErrorKind, Result};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The single file of a small checkpoint.
const SINGLE: &str = "model.safetensors";
/// The list of files of a large one.
const INDEX: &str = "model.safetensors.index.json";

/// An open checkpoint, which remembers the tensors that were taken from it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    files: Vec<WeightFile>,
    tensors: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
}

#[derive(Debug)]
struct WeightFile {
    /// For messages.
    name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Within the file.
    bytes: Range<usize>,
}

impl Checkpoint {
    /// Opens the weights in `folder` and reads their headers.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in weight_files(folder)? {
            let name = path.display().to_string();
            let file = File::open(&path).map_err(|e| Error::io(&name, e))?;
            // SAFETY: the map is read only. Another process that shortens the file while it is mapped can end this one
            // with a signal, as with every reader of mapped weights; nothing here writes or truncates it.
            let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(&name, e))?;
            files.push(WeightFile { name, bytes: Bytes::Mapped(map) });
        }
        Self::over(files)
    }

    /// The checkpoint in `bytes`, which messages call `name`.
    pub(crate) fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::over(vec![WeightFile { name: name.to_owned(), bytes: Bytes::Static(bytes) }])
    }

    fn over(files: Vec<WeightFile>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (file, WeightFile { name, bytes }) in files.iter().enumerate() {
            let (header, metadata) = SafeTensors::read_metadata(bytes.get()).map_err(|e| {
                Error::new(ErrorKind::Model, format!("{name}: not a whole safetensors file: {e}"))
                    .hint("fetch the file again and compare its size with the published one")
                    .source(e)
            })?;
            // Data follows the header, which an 8-byte length precedes.
            let data = header + 8;
            for (tensor, info) in metadata.tensors() {
                let bytes = data + info.data_offsets.0..data + info.data_offsets.1;
                tensors.insert(tensor, Entry { file, dtype: info.dtype, shape: info.shape.clone(), bytes });
            }
        }
        Ok(Self { files, tensors, taken: BTreeSet::new() })
    }

    /// Whether there is a tensor called `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Size of all files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.get().len() as u64).sum()
    }

    /// BLAKE3 of the files' bytes, one after another in the order of their names.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            hasher.update(file.bytes.get());
        }
        format!("blake3:{}", hasher.finalize().to_hex())
    }

    /// The tensor `name` as f32, which must have this shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let entry = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        let file = self.files.get(entry.file).ok_or_else(|| self.missing(name))?;
        if entry.shape != shape {
            return Err(Error::new(
                ErrorKind::Model,
                format!(
                    "{}: tensor '{name}' has shape {:?}, where config.json makes it {shape:?}",
                    file.name, entry.shape
                ),
            )
            .hint("config.json and the weights belong to different models, or one of them was edited"));
        }
        let bytes = file.bytes.get().get(entry.bytes.clone()).unwrap_or_default();
        let values = to_f32(bytes, entry.dtype).ok_or_else(|| {
            Error::new(ErrorKind::Model, format!("{}: tensor '{name}' is stored as {:?}", file.name, entry.dtype))
                .hint("store the weights as F32, F16 or BF16")
        })?;
        let tensor = Tensor::from_vec(values, shape, &candle_core::Device::Cpu)
            .map_err(|e| Error::new(ErrorKind::Model, format!("{}: tensor '{name}': {e}", file.name)))?;
        self.taken.insert(name.to_owned());
        Ok(tensor)
    }

    /// Refuses tensors that were not taken, save those that `expected` knows to belong to other parts of the checkpoint:
    /// a tensor that nothing reads usually means that the model is not the one that the config says.
    pub(crate) fn finish(self, expected: impl Fn(&str) -> bool) -> Result<()> {
        let left: Vec<&String> =
            self.tensors.keys().filter(|name| !self.taken.contains(*name) && !expected(name)).collect();
        let Some(first) = left.first() else { return Ok(()) };
        let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
        Err(Error::new(ErrorKind::Model, format!("{}: unexpected tensor '{first}'{more}", self.name()))
            .hint("config.json describes another model than the weights hold; check model_type and num_hidden_layers"))
    }

    fn missing(&self, name: &str) -> Error {
        Error::new(ErrorKind::Model, format!("{}: tensor '{name}' is missing", self.name()))
            .hint("config.json describes another model than the weights hold; check model_type and num_hidden_layers")
    }

    fn name(&self) -> &str {
        self.files.first().map_or("the checkpoint", |file| &file.name)
    }
}

/// The weight files in `folder`: the single one, or those that the index lists, in the order of their names.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let path = folder.join(INDEX);
    if !path.is_file() {
        let pickled = folder.join("pytorch_model.bin").is_file();
        let hint = if pickled {
            "pytorch_model.bin is not read; convert it with `transformers`: from_pretrained, then save_pretrained"
        } else {
            "a checkpoint folder holds config.json, preprocessor_config.json and model.safetensors"
        };
        let message = format!("{} has neither {SINGLE} nor {INDEX}", folder.display());
        return Err(Error::new(ErrorKind::UnknownModel, message).hint(hint));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(path.display(), e))?;
    let wrong = |why: String| Error::new(ErrorKind::Model, format!("{}: {why}", path.display()));
    let index: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| wrong("no weight_map".into()))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let mut files = Vec::new();
    for name in names {
        // A name, not a path: an index must not reach outside its folder.
        let plain = Path::new(name).file_name().is_some_and(|file| file == name);
        let shard = folder.join(name);
        if !plain || !shard.is_file() {
            return Err(wrong(format!("the file '{name}' that it lists is not in the folder")));
        }
        files.push(shard);
    }
    Ok(files)
}

/// Little-endian bytes of `dtype` as f32, or `None` for a type that weights are not stored in.
fn to_f32(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use safetensors::tensor::TensorView;

    use super::*;

    /// Writes a checkpoint of zeros with these names and shapes.
    pub(crate) fn write_zeros(path: &Path, tensors: &[(&str, Vec<usize>)]) {
        let zeros = vec![0; tensors.iter().map(|(_, shape)| 4 * shape.iter().product::<usize>()).max().unwrap_or(0)];
        let views: HashMap<&str, TensorView<'_>> = tensors
            .iter()
            .map(|(name, shape)| {
                let bytes = &zeros[..4 * shape.iter().product::<usize>()];
                (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
            })
            .collect();
        safetensors::serialize_to_file(views, None, path).unwrap();
    }

    fn checkpoint() -> (tempfile::TempDir, Checkpoint) {
        let folder = tempfile::tempdir().unwrap();
        write_zeros(&folder.path().join(SINGLE), &[("a", vec![2, 3]), ("b", vec![4])]);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        (folder, checkpoint)
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let (_folder, mut checkpoint) = checkpoint();
        let error = checkpoint.take("c", &[1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().contains("'c' is missing"), "{error}");
    }

    #[test]
    fn an_unexpected_tensor_is_named_unless_it_belongs_to_another_part() {
        let (_folder, mut first) = checkpoint();
        first.take("a", &[2, 3]).unwrap();
        assert!(first.finish(|_| false).unwrap_err().message().contains("unexpected tensor 'b'"));
        let (_folder, mut second) = checkpoint();
        second.take("a", &[2, 3]).unwrap();
        second.finish(|name| name == "b").unwrap();
    }

    #[test]
    fn a_shape_that_the_config_does_not_make_is_shown_beside_the_one_it_makes() {
        let (_folder, mut checkpoint) = checkpoint();
        let error = checkpoint.take("a", &[3, 2]).unwrap_err();
        assert!(error.message().contains("[2, 3]") && error.message().contains("[3, 2]"), "{error}");
    }

    #[test]
    fn a_file_cut_short_or_of_another_kind_is_refused_by_name() {
        let (folder, _checkpoint) = checkpoint();
        let path = folder.path().join(SINGLE);
        let whole = std::fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() - 1], &whole[..20], b"", b"PK\x03\x04 a zip, not a safetensors file"] {
            std::fs::write(&path, bytes).unwrap();
            let error = Checkpoint::open(folder.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.message().contains("model.safetensors"), "{error}");
        }
    }

    #[test]
    fn an_index_cannot_reach_outside_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(INDEX), r#"{"weight_map": {"a": "../secret.safetensors"}}"#).unwrap();
        assert!(Checkpoint::open(folder.path()).unwrap_err().message().contains("../secret.safetensors"));
    }

    #[test]
    fn half_precision_is_widened_exactly() {
        assert_eq!(to_f32(&f16::from_f32(0.1).to_le_bytes(), Dtype::F16).unwrap(), [f16::from_f32(0.1).to_f32()]);
        assert_eq!(to_f32(&bf16::from_f32(-3.3).to_le_bytes(), Dtype::BF16).unwrap(), [bf16::from_f32(-3.3).to_f32()]);
        assert!(to_f32(&[0; 8], Dtype::I64).is_none());
    }
}
