//! `images('…')`: the image files of a folder or a pattern as a table.

mod exec;
mod fetch;
mod filter;
mod function;
mod groups;
mod listing;
mod place;
mod provider;
mod read;
mod reader;
mod remote;
mod spread;

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

pub(crate) use function::{ImagesFunction, NAME, Reference};
pub(crate) use place::{Place, absolute};
pub(crate) use provider::ImagesTable;
pub(crate) use spread::{ReadImagesExec, SpreadImages};

/// The columns, by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Path,
    Size,
    Modified,
    Format,
    Image,
}

impl Column {
    pub(crate) const ALL: [Self; 5] = [Self::Path, Self::Size, Self::Modified, Self::Format, Self::Image];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Size => "size",
            Self::Modified => "modified",
            Self::Format => "format",
            Self::Image => "image",
        }
    }

    /// What it holds, for the reference page.
    const fn summary(self) -> &'static str {
        match self {
            Self::Path => "the file, as it was reached, or the address of the object",
            Self::Size => "its bytes; null if it cannot be looked at",
            Self::Modified => "when it was last changed",
            Self::Format => "its media type by its content, such as `image/jpeg`; null if it is no image",
            Self::Image => "the file itself, read only where it is asked for",
        }
    }

    pub(crate) fn field(self) -> Field {
        let data_type = match self {
            Self::Path | Self::Format => DataType::Utf8,
            Self::Size => DataType::Int64,
            Self::Modified => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Image => DataType::Binary,
        };
        Field::new(self.name(), data_type, self != Self::Path)
    }

    /// Whether it is known without opening the file.
    const fn is_listed(self) -> bool {
        matches!(self, Self::Path | Self::Size | Self::Modified)
    }
}

/// All columns.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(Column::ALL.map(Column::field).to_vec())));

/// The columns that are known without opening a file.
static LISTED: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(Column::ALL.into_iter().filter(|c| c.is_listed()).map(Column::field).collect::<Vec<_>>()))
});
