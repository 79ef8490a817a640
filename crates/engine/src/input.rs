//! What the engine is fed: pieces of a table with one image per row.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::Field;
use imbed_core::{Error, ErrorKind, Result, arrow::StringsColumn};

use crate::steps::Steps;

/// Some rows of the input.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Columns to carry through; may have none, but its row count must be set.
    pub batch: RecordBatch,
    /// One image per row of `batch`.
    pub images: Images,
    /// Text by which messages name each row (a path, a key); `None` where rows have numbers only.
    pub labels: Option<ArrayRef>,
    /// The number of the first row in the whole input, by which messages name rows; `None` where it follows the chunk before.
    pub first_row: Option<u64>,
}

/// Where the image of each row is. A null is a row without an image and gives a null vector.
#[derive(Debug, Clone)]
pub enum Images {
    /// Encoded files: `Binary`, `LargeBinary`, `BinaryView` or `FixedSizeBinary`.
    Encoded(ArrayRef),
    /// Paths of local files: `Utf8`, `LargeUtf8`, `Utf8View`. Read by the pipeline's workers. Addresses may stand among them where the
    /// engine was given something that fetches ([`EngineBuilder::fetch`](crate::EngineBuilder::fetch)).
    Paths(ArrayRef),
    /// Bytes where they are given, else the path beside them, as Hugging Face `datasets` stores images.
    BytesOrPaths {
        /// Encoded files.
        bytes: ArrayRef,
        /// Paths of local files.
        paths: ArrayRef,
    },
    /// Decoded images of one of the types of [`imbed_core::arrow`].
    Decoded {
        /// The images.
        array: ArrayRef,
        /// Their field: its extension metadata says how to read the array.
        field: Arc<Field>,
    },
    /// Images of one of the other kinds, to which something is done before the model's own preprocessing.
    Changed {
        /// The images.
        images: Box<Images>,
        /// What is done to each.
        steps: Arc<Steps>,
    },
}

impl Images {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Encoded(array) | Self::Paths(array) | Self::Decoded { array, .. } => array.len(),
            Self::BytesOrPaths { bytes, .. } => bytes.len(),
            Self::Changed { images, .. } => images.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands where the path of row `row` may, if that is what its image is found by.
    pub(crate) fn place(&self, row: usize) -> Option<&str> {
        let text = |array| StringsColumn::try_new(array).ok()?.get(row);
        match self {
            Self::Paths(paths) => text(paths),
            Self::BytesOrPaths { bytes, paths } => bytes.is_null(row).then(|| text(paths)).flatten(),
            Self::Changed { images, .. } => images.place(row),
            Self::Encoded(_) | Self::Decoded { .. } => None,
        }
    }

    /// Bytes held by the arrays.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Encoded(array) | Self::Paths(array) | Self::Decoded { array, .. } => array.get_array_memory_size(),
            Self::BytesOrPaths { bytes, paths } => bytes.get_array_memory_size() + paths.get_array_memory_size(),
            Self::Changed { images, .. } => images.memory(),
        }
    }

    /// The images before anything is done to them, and what is done.
    pub(crate) fn unchanged(&self) -> (&Self, Option<&Steps>) {
        match self {
            Self::Changed { images, steps } => (images, Some(steps)),
            images => (images, None),
        }
    }
}

impl Chunk {
    /// Checks that every part has the same number of rows.
    pub(crate) fn check(&self) -> Result<()> {
        let rows = self.batch.num_rows();
        let labels = self.labels.as_ref().map_or(rows, Array::len);
        let paths =
            if let (Images::BytesOrPaths { paths, .. }, _) = self.images.unchanged() { paths.len() } else { rows };
        if self.images.len() == rows && labels == rows && paths == rows {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::BadInput,
            format!("a chunk of {rows} rows has {} images and {labels} labels", self.images.len()),
        ))
    }
}
