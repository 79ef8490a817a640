//! The types of image columns.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{
    DataType, Field, Fields,
    extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY},
};

use super::{ImageColumn, image_array::fixed_shape};
use crate::image::{Image, Mode, SampleType};

/// The name of the canonical type of tensors of one shape.
pub(super) const FIXED: &str = "arrow.fixed_shape_tensor";
/// The name of the canonical type of tensors of different shapes.
pub(super) const VARIABLE: &str = "arrow.variable_shape_tensor";

/// How a column of images is stored. The mode follows from the sample type and the number of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    /// All rows have one mode and size: `arrow.fixed_shape_tensor` of shape `[height, width, channels]`, stored as
    /// `FixedSizeList<sample, height * width * channels>`.
    Fixed {
        /// The mode of every row.
        mode: Mode,
        /// Rows of every image.
        height: u32,
        /// Columns of every image.
        width: u32,
    },
    /// Rows differ in size or channels: `arrow.variable_shape_tensor` of three dimensions, stored as
    /// `Struct<data: List<sample>, shape: FixedSizeList<Int32, 3>>`.
    Variable {
        /// The type of every sample.
        samples: SampleType,
    },
}

impl ImageType {
    /// The narrowest type that holds `images`: fixed where all have one shape, or else variable in the widest sample type.
    pub fn of<'a>(images: impl IntoIterator<Item = Option<&'a Image>>) -> Self {
        let mut shapes = images.into_iter().flatten().map(|image| (image.mode(), image.height(), image.width()));
        let Some(first) = shapes.next() else { return Self::Variable { samples: SampleType::U8 } };
        let (mut same, mut samples) = (true, first.0.sample_type());
        for shape in shapes {
            same &= shape == first;
            samples = widest(samples, shape.0.sample_type());
        }
        let (mode, height, width) = first;
        Self::fixed(mode, height, width).filter(|_| same).unwrap_or(Self::Variable { samples })
    }

    /// The type of images of one mode and size; `None` where Arrow has none.
    pub fn fixed(mode: Mode, height: u32, width: u32) -> Option<Self> {
        // A list of fixed size has a length of 32 bits, and one of length 0 cannot be told from no list.
        let length = mode.channels() as u64 * u64::from(height) * u64::from(width);
        (1..=i32::MAX as u64).contains(&length).then_some(Self::Fixed { mode, height, width })
    }

    /// The type of a column with this field, as [`ImageColumn`](super::ImageColumn) would read it; `None` if it is not one of
    /// images. Daft's layout counts as variable.
    pub fn of_field(field: &Field) -> Option<Self> {
        if !ImageColumn::accepts(field) {
            return None;
        }
        match field.data_type() {
            DataType::FixedSizeList(item, _) => {
                let [height, width, channels] =
                    fixed_shape(field.extension_type_metadata().unwrap_or_default()).ok()??;
                Self::fixed(Mode::of(sample_type(item.data_type())?, channels as usize)?, height, width)
            }
            DataType::Struct(fields) => match fields.find("data")?.1.data_type() {
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    Some(Self::Variable { samples: sample_type(item.data_type())? })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The type of each sample.
    pub fn samples(self) -> SampleType {
        match self {
            Self::Fixed { mode, .. } => mode.sample_type(),
            Self::Variable { samples } => samples,
        }
    }

    /// The storage type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Fixed { mode, height, width } => {
                let length = mode.channels() * height as usize * width as usize;
                DataType::FixedSizeList(item(self.samples()), length as i32)
            }
            Self::Variable { .. } => DataType::Struct(self.variable_fields()),
        }
    }

    /// The fields of the storage of a variable type.
    pub(super) fn variable_fields(self) -> Fields {
        Fields::from(vec![
            Field::new("data", DataType::List(item(self.samples())), false),
            Field::new("shape", DataType::FixedSizeList(shape_item(), 3), false),
        ])
    }

    /// The field of such a column, nullable, with the metadata of the extension type.
    pub fn field(self, name: &str) -> Field {
        let (extension, metadata) = match self {
            Self::Fixed { mode, height, width } => (
                FIXED,
                format!("{{\"shape\":[{height},{width},{}],\"dim_names\":[\"H\",\"W\",\"C\"]}}", mode.channels()),
            ),
            Self::Variable { .. } => (VARIABLE, "{\"dim_names\":[\"H\",\"W\",\"C\"]}".to_owned()),
        };
        Field::new(name, self.data_type(), true).with_metadata(HashMap::from([
            (EXTENSION_TYPE_NAME_KEY.to_owned(), extension.to_owned()),
            (EXTENSION_TYPE_METADATA_KEY.to_owned(), metadata),
        ]))
    }
}

/// The elements of a tensor.
pub(super) fn item(samples: SampleType) -> Arc<Field> {
    let data_type = match samples {
        SampleType::U8 => DataType::UInt8,
        SampleType::U16 => DataType::UInt16,
        SampleType::F32 => DataType::Float32,
    };
    Arc::new(Field::new("item", data_type, false))
}

/// The elements of a shape.
pub(super) fn shape_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Int32, false))
}

fn sample_type(data_type: &DataType) -> Option<SampleType> {
    match data_type {
        DataType::UInt8 => Some(SampleType::U8),
        DataType::UInt16 => Some(SampleType::U16),
        DataType::Float32 => Some(SampleType::F32),
        _ => None,
    }
}

fn widest(a: SampleType, b: SampleType) -> SampleType {
    if a.bytes() >= b.bytes() { a } else { b }
}
