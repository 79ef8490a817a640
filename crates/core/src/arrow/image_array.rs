//! Columns of decoded images: reading and writing.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Int32Array, ListArray, PrimitiveArray, StructArray, UInt8Array,
    UInt16Array,
    cast::AsArray,
    types::{Int32Type, UInt8Type, UInt16Type, UInt32Type},
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field};

use super::{
    ImageType,
    image_type::{FIXED, VARIABLE, item, shape_item},
    lists::{Lists, Values},
};
use crate::{
    Error, ErrorKind, Result,
    image::{Image, Mode, SampleType, Samples},
    options::Alpha,
    preprocess::Size,
};

/// A column of decoded images, in one of the types of [`ImageType`] or in Daft's layout
/// `Struct<data: List<UInt8>, channel: UInt16, height: UInt32, width: UInt32, mode: UInt8>`.
#[derive(Debug, Clone, Copy)]
pub struct ImageColumn<'a> {
    array: &'a dyn Array,
    lists: Lists<'a>,
    values: Values<'a>,
    shapes: Shapes<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Shapes<'a> {
    /// Height, width, channels of every row.
    Fixed([u32; 3]),
    /// The same for each row.
    Variable(Lists<'a>, &'a [i32]),
    Daft {
        channel: &'a [u16],
        height: &'a [u32],
        width: &'a [u32],
        mode: Option<&'a PrimitiveArray<UInt8Type>>,
    },
}

impl<'a> ImageColumn<'a> {
    /// A view of `array`, whose `field` says by its metadata how to read it; an error that names the type if nobody knows.
    pub fn try_new(field: &Field, array: &'a dyn Array) -> Result<Self> {
        let column = match field.extension_type_name() {
            Some(FIXED) => Self::fixed(array, field.extension_type_metadata().unwrap_or_default())?,
            Some(VARIABLE) => Self::variable(array, field.extension_type_metadata().unwrap_or_default())?,
            _ => Self::daft(array),
        };
        column.ok_or_else(|| {
            Error::new(
                ErrorKind::BadInput,
                format!("the column '{}' of type {} holds no images", field.name(), field.data_type()),
            )
            .hint(format!(
                "decoded images come as {FIXED} or {VARIABLE} of shape [height, width, channels] with UInt8, UInt16 or \
                     Float32 samples, or as Daft's image struct; encoded ones as bytes"
            ))
        })
    }

    fn fixed(array: &'a dyn Array, metadata: &str) -> Result<Option<Self>> {
        let Some(shape) = fixed_shape(metadata)? else { return Ok(None) };
        let DataType::FixedSizeList(_, length) = array.data_type() else { return Ok(None) };
        // In 128 bits no product of three sides overflows.
        if shape.iter().map(|side| u128::from(*side)).product::<u128>() != *length as u128 {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("tensors of shape {shape:?} do not have {length} values"),
            ));
        }
        Ok(Self::new(array, array, Shapes::Fixed(shape)))
    }

    fn variable(array: &'a dyn Array, metadata: &str) -> Result<Option<Self>> {
        row_major(metadata)?;
        let shapes = (|| {
            let shape = array.as_struct_opt()?.column_by_name("shape")?.as_ref();
            let DataType::FixedSizeList(_, 3) = shape.data_type() else { return None };
            let lists = Lists::of(shape)?;
            Some(Shapes::Variable(lists, lists.values().as_primitive_opt::<Int32Type>()?.values()))
        })();
        Ok(shapes.and_then(|shapes| Self::new(array, array.as_struct_opt()?.column_by_name("data")?, shapes)))
    }

    fn daft(array: &'a dyn Array) -> Option<Self> {
        let columns = array.as_struct_opt()?;
        let column = |name: &str| columns.column_by_name(name);
        let shapes = Shapes::Daft {
            channel: column("channel")?.as_primitive_opt::<UInt16Type>()?.values(),
            height: column("height")?.as_primitive_opt::<UInt32Type>()?.values(),
            width: column("width")?.as_primitive_opt::<UInt32Type>()?.values(),
            mode: column("mode").and_then(|mode| mode.as_primitive_opt()),
        };
        Self::new(array, column("data")?, shapes)
    }

    fn new(array: &'a dyn Array, data: &'a dyn Array, shapes: Shapes<'a>) -> Option<Self> {
        let lists = Lists::of(data)?;
        Some(Self { array, lists, values: Values::of(lists.values())?, shapes })
    }

    /// Whether a column with this field is one of images.
    pub fn accepts(field: &Field) -> bool {
        let array = arrow_array::new_empty_array(field.data_type());
        ImageColumn::try_new(field, array.as_ref()).is_ok()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.array.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The image of a row; `None` where it is null or past the end, an error where its shape makes no image.
    pub fn get(&self, row: usize) -> Result<Option<Image>> {
        let Some((mode, Size { height, width })) = self.describe(row)? else { return Ok(None) };
        Image::new(mode, width, height, self.values.samples(self.lists.range(row))).map(Some)
    }

    /// The mode and the size of a row's image, as [`get`](Self::get) without its samples.
    pub fn describe(&self, row: usize) -> Result<Option<(Mode, Size)>> {
        if row >= self.len() || self.array.is_null(row) || self.lists.is_null(row) {
            return Ok(None);
        }
        let ([height, width, channels], told) = self.shape(row)?;
        let samples = self.values.sample_type();
        let mode = told.or_else(|| Mode::of(samples, channels as usize)).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("there is no image mode of {channels} {samples:?} channels"))
        })?;
        Ok(Some((mode, Size { height, width })))
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Option<Image>>> + use<'a> {
        let column = *self;
        (0..column.len()).map(move |row| column.get(row))
    }

    /// Height, width and channels of a row, and its mode where the column tells.
    fn shape(&self, row: usize) -> Result<([u32; 3], Option<Mode>)> {
        match self.shapes {
            Shapes::Fixed(shape) => Ok((shape, None)),
            Shapes::Variable(lists, values) => match values[lists.range(row)] {
                [h, w, c] if h >= 0 && w >= 0 && c >= 0 => Ok(([h as u32, w as u32, c as u32], None)),
                ref shape => {
                    Err(Error::new(ErrorKind::Dimensions, format!("the shape {shape:?} is not that of an image")))
                }
            },
            Shapes::Daft { channel, height, width, mode } => {
                let told = match mode.filter(|mode| !mode.is_null(row)).map(|mode| mode.value(row)) {
                    None => None,
                    Some(number) => Some(Mode::from_number(number).ok_or_else(|| {
                        Error::new(ErrorKind::Unsupported, format!("{number} is not the number of an image mode"))
                    })?),
                };
                Ok(([height[row], width[row], channel[row].into()], told))
            }
        }
    }
}

/// The shape of tensors of one shape, if it is that of images.
pub(super) fn fixed_shape(metadata: &str) -> Result<Option<[u32; 3]>> {
    let metadata = row_major(metadata)?;
    let shape: Option<Vec<u32>> = metadata["shape"]
        .as_array()
        .and_then(|shape| shape.iter().map(|n| n.as_u64().and_then(|n| u32::try_from(n).ok())).collect());
    Ok(shape.and_then(|shape| shape.try_into().ok()))
}

/// The metadata of a tensor, which must be laid out row by row.
fn row_major(metadata: &str) -> Result<serde_json::Value> {
    let metadata: serde_json::Value = match metadata {
        "" => serde_json::Value::Null,
        json => serde_json::from_str(json)
            .map_err(|e| Error::new(ErrorKind::BadInput, format!("the tensor's metadata is not JSON: {e}")))?,
    };
    let identity = serde_json::json!([0, 1, 2]);
    match metadata.get("permutation").filter(|permutation| !permutation.is_null()) {
        Some(permutation) if *permutation != identity => Err(Error::new(
            ErrorKind::Unsupported,
            format!("tensors with the permutation {permutation} are not read: images are [height, width, channels]"),
        )),
        _ => Ok(metadata),
    }
}

/// The column of `images` and its field, in the narrowest [`ImageType`] that holds them.
///
/// Where rows differ in their sample type, all take the widest: bytes are scaled up to 16 bits, or to floats (grey floats
/// have no mode and become colours).
pub fn images_to_array(name: &str, images: &[Option<Image>]) -> Result<(Field, ArrayRef)> {
    let image_type = ImageType::of(images.iter().map(Option::as_ref));
    Ok((image_type.field(name), image_type.array(images)?))
}

impl ImageType {
    /// The column of `images` in this type; an error where an image has another shape than a fixed type has.
    pub fn array(self, images: &[Option<Image>]) -> Result<ArrayRef> {
        let images: Vec<Option<Image>> = images
            .iter()
            .map(|image| image.as_ref().map(|image| self.fit(image)).transpose())
            .collect::<Result<_>>()?;
        let nulls =
            images.iter().any(Option::is_none).then(|| images.iter().map(Option::is_some).collect::<NullBuffer>());
        match self {
            Self::Fixed { mode, height, width } => {
                let length = mode.channels() * height as usize * width as usize;
                let values = values(self.samples(), images.iter().map(Option::as_ref), length);
                let array = FixedSizeListArray::try_new(item(self.samples()), length as i32, values, nulls);
                Ok(Arc::new(array.map_err(internal)?))
            }
            Self::Variable { samples } => {
                let lengths = images.iter().map(|image| image.as_ref().map_or(0, |image| image.samples().len()));
                if lengths.clone().map(|length| length as u64).sum::<u64>() > i32::MAX as u64 {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        "the images of one batch have more than 2147483647 samples",
                    )
                    .hint("use smaller batches, or resize the images to one size first"));
                }
                let offsets = OffsetBuffer::from_lengths(lengths);
                let values = values(samples, images.iter().map(Option::as_ref), 0);
                let data = ListArray::try_new(item(samples), offsets, values, None).map_err(internal)?;
                let shape = |image: &Option<Image>| {
                    let image = image.as_ref();
                    image.map_or([0; 3], |i| [i.height() as i32, i.width() as i32, i.mode().channels() as i32])
                };
                let shapes = Int32Array::from_iter_values(images.iter().flat_map(shape));
                let shapes = FixedSizeListArray::try_new(shape_item(), 3, Arc::new(shapes), None).map_err(internal)?;
                let columns: Vec<ArrayRef> = vec![Arc::new(data), Arc::new(shapes)];
                let array = StructArray::try_new(self.variable_fields(), columns, nulls).map_err(internal)?;
                Ok(Arc::new(array))
            }
        }
    }

    fn fit(self, image: &Image) -> Result<Image> {
        match self {
            Self::Fixed { mode, height, width } => {
                if (image.mode(), image.height(), image.width()) == (mode, height, width) {
                    return Ok(image.clone());
                }
                let (m, h, w) = (image.mode(), image.height(), image.width());
                let what = format!("an image {m} of {w} x {h} does not fit a column of {mode} of {width} x {height}");
                Err(Error::new(ErrorKind::Dimensions, what))
            }
            Self::Variable { samples } => {
                let channels = image.mode().channels();
                let mode = Mode::of(samples, channels).or_else(|| Mode::of(samples, if channels == 1 { 3 } else { 4 }));
                Ok(image.convert(mode.unwrap_or(image.mode()), Alpha::Drop))
            }
        }
    }
}

/// The samples of all images one after the other; a null has `null_length` zeros.
fn values<'a>(samples: SampleType, images: impl Iterator<Item = Option<&'a Image>>, null_length: usize) -> ArrayRef {
    fn join<'a, T: Copy + Default + 'a>(
        images: impl Iterator<Item = Option<&'a Image>>,
        null_length: usize,
        of: impl Fn(&'a Samples) -> &'a [T],
    ) -> Vec<T> {
        let mut values = Vec::new();
        for image in images {
            match image {
                Some(image) => values.extend_from_slice(of(image.samples())),
                None => values.resize(values.len() + null_length, T::default()),
            }
        }
        values
    }
    match samples {
        SampleType::U8 => Arc::new(UInt8Array::from(join::<u8>(images, null_length, |s| match s {
            Samples::U8(s) => s,
            _ => &[],
        }))),
        SampleType::U16 => Arc::new(UInt16Array::from(join::<u16>(images, null_length, |s| match s {
            Samples::U16(s) => s,
            _ => &[],
        }))),
        SampleType::F32 => Arc::new(Float32Array::from(join::<f32>(images, null_length, |s| match s {
            Samples::F32(s) => s,
            _ => &[],
        }))),
    }
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn internal(e: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, format!("the images do not make a column: {e}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::{LargeListArray, UInt32Array};

    use super::*;

    fn image(mode: Mode, width: u32, height: u32) -> Image {
        let n = width as usize * height as usize * mode.channels();
        let bytes = Samples::U8((0..n).map(|i| i as u8).collect());
        let same = Mode::of(SampleType::U8, mode.channels()).unwrap();
        Image::new(same, width, height, bytes).unwrap().convert(mode, Alpha::Drop)
    }

    #[test]
    fn one_shape_becomes_a_fixed_tensor_of_every_mode() {
        for mode in Mode::ALL {
            let images = vec![Some(image(mode, 3, 2)), None, Some(image(mode, 3, 2))];
            let (field, array) = images_to_array("i", &images).unwrap();
            assert_eq!(field.extension_type_name(), Some(FIXED));
            assert_eq!(field.data_type(), array.data_type());
            assert_eq!(ImageType::of_field(&field), Some(ImageType::Fixed { mode, height: 2, width: 3 }));
            let back: Vec<_> = ImageColumn::try_new(&field, &array).unwrap().iter().map(Result::unwrap).collect();
            assert_eq!(back, images, "{mode}");
        }
    }

    #[test]
    fn different_shapes_become_a_variable_tensor() {
        let images =
            vec![None, Some(image(Mode::Rgb, 3, 2)), Some(image(Mode::L, 1, 4)), Some(image(Mode::Rgba, 2, 2))];
        let (field, array) = images_to_array("i", &images).unwrap();
        assert_eq!(field.extension_type_name(), Some(VARIABLE));
        assert_eq!(field.data_type(), array.data_type());
        assert_eq!(ImageType::of_field(&field), Some(ImageType::Variable { samples: SampleType::U8 }));
        let column = ImageColumn::try_new(&field, &array).unwrap();
        assert_eq!(column.iter().map(Result::unwrap).collect::<Vec<_>>(), images);
        let slice = array.slice(1, 2);
        let column = ImageColumn::try_new(&field, &slice).unwrap();
        assert_eq!(column.iter().map(Result::unwrap).collect::<Vec<_>>(), images[1..3]);
    }

    #[test]
    fn different_sample_types_take_the_widest() {
        let images = vec![Some(image(Mode::L, 1, 1)), Some(image(Mode::Rgb16, 2, 2))];
        let (field, array) = images_to_array("i", &images).unwrap();
        let first = ImageColumn::try_new(&field, &array).unwrap().get(0).unwrap().unwrap();
        assert_eq!(first.mode(), Mode::L16);
    }

    #[test]
    fn no_image_at_all_is_a_column_too() {
        for images in [vec![], vec![None, None]] {
            let (field, array) = images_to_array("i", &images).unwrap();
            assert_eq!(array.len(), images.len());
            let column = ImageColumn::try_new(&field, &array).unwrap();
            assert!(column.iter().all(|row| row.unwrap().is_none()));
        }
    }

    #[test]
    fn dafts_layout_is_read() {
        let data = LargeListArray::new(
            Arc::new(Field::new("item", DataType::UInt8, true)),
            OffsetBuffer::from_lengths([3, 2]),
            Arc::new(UInt8Array::from(vec![1, 2, 3, 4, 5])),
            None,
        );
        let column = |name: &str, array: ArrayRef| (Arc::new(Field::new(name, array.data_type().clone(), true)), array);
        let array = StructArray::from(vec![
            column("data", Arc::new(data)),
            column("channel", Arc::new(UInt16Array::from(vec![3, 1]))),
            column("height", Arc::new(UInt32Array::from(vec![1, 2]))),
            column("width", Arc::new(UInt32Array::from(vec![1, 1]))),
            column("mode", Arc::new(UInt8Array::from(vec![Some(3), None]))),
        ]);
        let field = Field::new("i", array.data_type().clone(), true);
        assert_eq!(ImageType::of_field(&field), Some(ImageType::Variable { samples: SampleType::U8 }));
        let column = ImageColumn::try_new(&field, &array).unwrap();
        let image = |row: usize| column.get(row).unwrap().unwrap();
        assert_eq!((image(0).mode(), image(0).as_u8().unwrap()), (Mode::Rgb, &[1, 2, 3][..]));
        assert_eq!((image(1).mode(), image(1).height()), (Mode::L, 2));
    }

    #[test]
    fn a_column_of_something_else_is_named() {
        let array = Int32Array::from(vec![1]);
        let field = Field::new("x", DataType::Int32, true);
        assert_eq!(ImageType::of_field(&field), None);
        let error = ImageColumn::try_new(&field, &array).unwrap_err();
        assert!(error.message().contains("'x' of type Int32"), "{error}");
    }

    #[test]
    fn a_fixed_column_refuses_other_shapes() {
        let fixed = ImageType::Fixed { mode: Mode::Rgb, height: 2, width: 2 };
        assert_eq!(fixed.array(&[Some(image(Mode::Rgb, 3, 2))]).unwrap_err().kind(), ErrorKind::Dimensions);
    }
}
