//! Weights on disk, memory-mapped and read tensor by tensor into f32.
//!
//! `files` finds them in a folder, `torch` reads the table of a file that `torch.save` wrote, and `view` says where a tensor
//! lies. Whatever the format, a [`Checkpoint`] is a table of views by the names that `transformers` gives, and its tensors
//! are read from where they lie when they are taken.

mod files;
mod torch;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
    sync::Arc,
};

use imbed_core::{Error, ErrorKind, Result};
use memmap2::Mmap;
use safetensors::SafeTensors;

use crate::{Array, array::Numbers, open_clip};
pub(crate) use files::Format;
pub(crate) use view::View;

/// An open checkpoint, which remembers the tensors that were taken from it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    files: Vec<WeightFile>,
    tensors: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
    /// Whether the tensors have names in the files that `open_clip` gave them.
    open_clip: bool,
}

#[derive(Debug)]
struct WeightFile {
    /// For messages.
    name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Arc<Mmap>),
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

/// A tensor, and the file that it lies in.
#[derive(Debug)]
struct Entry {
    file: usize,
    view: View,
}

impl Checkpoint {
    /// Opens the weights in `folder` and reads the tables of their tensors.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (format, paths) = files::find(folder, open_clip::describes(folder))?;
        let mut files = Vec::new();
        for path in paths {
            let name = path.display().to_string();
            let file = File::open(&path).map_err(|e| Error::io(&name, e))?;
            // SAFETY: the map is read only. Another process that shortens the file while it is mapped can end this one
            // with a signal, as with every reader of mapped weights; nothing here writes or truncates it.
            let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(&name, e))?;
            files.push(WeightFile { name, bytes: Bytes::Mapped(Arc::new(map)) });
        }
        Self::over(files, format)
    }

    /// The safetensors file in `bytes`, which messages call `name`.
    pub(crate) fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::over(vec![WeightFile { name: name.to_owned(), bytes: Bytes::Static(bytes) }], Format::Safetensors)
    }

    fn over(files: Vec<WeightFile>, format: Format) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (file, WeightFile { name, bytes }) in files.iter().enumerate() {
            let table = table(bytes.get(), format).map_err(|e| e.context(name))?;
            tensors.extend(table.into_iter().map(|(tensor, view)| (tensor, Entry { file, view })));
        }
        let open_clip = tensors.contains_key(open_clip::STEM);
        if open_clip {
            tensors = translated(tensors);
        }
        Ok(Self { files, tensors, taken: BTreeSet::new(), open_clip })
    }

    /// Whether there is a tensor called `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Size of all files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.get().len() as u64).sum()
    }

    /// BLAKE3 of the files' bytes, one after another in the order of their names. The same weights in another format have
    /// another hash: it tells files apart, which costs no reading of tensors.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            hasher.update(file.bytes.get());
        }
        format!("blake3:{}", hasher.finalize().to_hex())
    }

    /// The tensor `name` as f32, which must have this shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Array> {
        let entry = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        let file = self.files.get(entry.file).ok_or_else(|| self.missing(name))?;
        if entry.view.shape != shape {
            let config = self.config();
            let message = format!(
                "{}: tensor '{name}' has shape {:?}, where {config} makes it {shape:?}",
                file.name, entry.view.shape
            );
            return Err(Error::new(ErrorKind::Model, message)
                .hint(format!("{config} and the weights belong to different models, or one of them was edited")));
        }
        let mapped = match &file.bytes {
            Bytes::Mapped(map) => entry.view.mapped(map),
            Bytes::Static(_) => None,
        };
        let read = || entry.view.values(file.bytes.get()).map(Numbers::Owned);
        let values = mapped.map(Numbers::Mapped).or_else(read).ok_or_else(|| {
            let dtype = entry.view.dtype;
            Error::new(ErrorKind::Model, format!("{}: tensor '{name}' is stored as {dtype:?}", file.name))
                .hint("store the weights as F32, F16 or BF16")
        })?;
        let array = Array::of(shape, values).map_err(|e| e.context(format_args!("{}: tensor '{name}'", file.name)))?;
        self.taken.insert(name.to_owned());
        Ok(array)
    }

    /// Refuses tensors that were not taken, save those that `expected` knows to belong to other parts of the checkpoint:
    /// a tensor that nothing reads usually means that the model is not the one that the config says.
    pub(crate) fn finish(self, expected: impl Fn(&str) -> bool) -> Result<()> {
        let left: Vec<&String> =
            self.tensors.keys().filter(|name| !self.taken.contains(*name) && !expected(name)).collect();
        let Some(first) = left.first() else { return Ok(()) };
        let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
        Err(Error::new(ErrorKind::Model, format!("{}: unexpected tensor '{first}'{more}", self.name()))
            .hint(self.other_model()))
    }

    fn missing(&self, name: &str) -> Error {
        let original = if self.open_clip { open_clip::original(name) } else { None };
        let original = original.map(|name| format!(" ('{name}' in open_clip's words)")).unwrap_or_default();
        Error::new(ErrorKind::Model, format!("{}: tensor '{name}'{original} is missing", self.name()))
            .hint(self.other_model())
    }

    fn other_model(&self) -> String {
        let keys = if self.open_clip { "layers in vision_cfg" } else { "model_type and num_hidden_layers" };
        format!("{} describes another model than the weights hold; check {keys}", self.config())
    }

    /// The file that says which tensors there should be.
    fn config(&self) -> &'static str {
        if self.open_clip { open_clip::CONFIG } else { "config.json" }
    }

    fn name(&self) -> &str {
        self.files.first().map_or("the checkpoint", |file| &file.name)
    }
}

/// The tensors of a file.
fn table(bytes: &[u8], format: Format) -> Result<Vec<(String, View)>> {
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::new(ErrorKind::Model, "a pointer of Git LFS, and not the weights that it points to")
            .hint("run `git lfs pull` in the folder, or fetch the file with the hub's own tools"));
    }
    match format {
        Format::Torch => torch::read(bytes),
        Format::Safetensors => {
            let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| {
                Error::new(ErrorKind::Model, format!("not a whole safetensors file: {e}"))
                    .hint("fetch the file again and compare its size with the published one")
                    .source(e)
            })?;
            // Data follows the header, which an 8-byte length precedes.
            let view = |info: &safetensors::tensor::TensorInfo| {
                View::contiguous(info.dtype, info.shape.clone(), header + 8 + info.data_offsets.0)
            };
            Ok(metadata.tensors().into_iter().map(|(name, info)| (name, view(info))).collect())
        }
    }
}

/// Reads every tensor of a file, as far as it can be read.
#[cfg(feature = "__fuzzing")]
pub(crate) fn read_all(bytes: &[u8], format: Format) {
    for (name, view) in table(bytes, format).unwrap_or_default() {
        let most = view.values(bytes).map_or(0, |values| values.len());
        assert!(most <= bytes.len(), "'{name}' has more numbers than the file has bytes");
        for (_, part) in open_clip::translate(&name, view) {
            let _ = part.values(bytes);
        }
    }
}

/// The same tensors under the names that `transformers` gives to CLIP's.
fn translated(tensors: BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    let mut renamed = BTreeMap::new();
    for (name, Entry { file, view }) in tensors {
        renamed.extend(open_clip::translate(&name, view).into_iter().map(|(name, view)| (name, Entry { file, view })));
    }
    renamed
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    const SINGLE: &str = "model.safetensors";

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
}
