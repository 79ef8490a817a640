//! The column kernels, for any table: null in, null out; order kept; the same however an array is sliced.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, BinaryViewArray, LargeBinaryArray};
use imbed_core::{
    ErrorKind, Preprocess,
    arrow::{BytesColumn, ImageColumn, images_to_array, kernels},
    image::{DecodeOptions, EncodeFormat, Filter, Image, Mode, Samples, decode, encode},
    options::{Alpha, OnError},
    preprocess::{Normalize, Resize, ResizeTarget, Size},
};
use proptest::prelude::*;

/// A small image, and in a column maybe none.
fn image() -> impl Strategy<Value = Image> {
    let modes = prop_oneof![Just(Mode::L), Just(Mode::Rgb), Just(Mode::Rgba)];
    (modes, 1_u32..6, 1_u32..6, any::<u64>()).prop_map(|(mode, width, height, seed)| {
        let n = u64::from(width * height) * mode.channels() as u64;
        let samples = (0..n).map(|i| ((seed ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        Image::new(mode, width, height, Samples::U8(samples)).unwrap()
    })
}

fn column() -> impl Strategy<Value = Vec<Option<Image>>> {
    prop::collection::vec(prop::option::weighted(0.8, image()), 0..12)
}

/// A column and a range of its rows.
fn sliced() -> impl Strategy<Value = (Vec<Option<Image>>, usize, usize)> {
    column().prop_flat_map(|rows| {
        let n = rows.len();
        (Just(rows), 0..=n).prop_flat_map(move |(rows, start)| (Just(rows), Just(start), 0..=n - start))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decode_gives_each_row_its_image_in_any_binary_type_and_slice((images, start, len) in sliced()) {
        let files: Vec<Option<Vec<u8>>> =
            images.iter().map(|i| i.as_ref().map(|i| encode(i, EncodeFormat::Png).unwrap())).collect();
        let arrays: [ArrayRef; 3] = [
            Arc::new(files.iter().map(Option::as_deref).collect::<BinaryArray>()),
            Arc::new(files.iter().map(Option::as_deref).collect::<LargeBinaryArray>()),
            Arc::new(files.iter().map(Option::as_deref).collect::<BinaryViewArray>()),
        ];
        for array in arrays {
            let slice = array.slice(start, len);
            let bytes = BytesColumn::try_new(&slice).unwrap();
            let decoded = kernels::decode(bytes, &DecodeOptions::default(), OnError::Raise).unwrap();
            prop_assert_eq!(&decoded.images[..], &images[start..start + len]);
        }
    }

    #[test]
    fn kernels_do_to_each_row_what_they_do_to_one_image((images, start, len) in sliced()) {
        let (field, array) = images_to_array("i", &images).unwrap();
        let slice = array.slice(start, len);
        let column = ImageColumn::try_new(&field, &slice).unwrap();
        let images = &images[start..start + len];
        let each = |f: &dyn Fn(&Image) -> Image| images.iter().map(|i| i.as_ref().map(f)).collect::<Vec<_>>();

        let converted = kernels::convert(column, Mode::Rgb, Alpha::Drop, OnError::Raise).unwrap();
        prop_assert_eq!(converted.images, each(&|i| i.convert(Mode::Rgb, Alpha::Drop)));

        let size = Size { height: 3, width: 4 };
        let resized = kernels::resize(column, size, Filter::Bicubic, OnError::Raise).unwrap();
        prop_assert_eq!(resized.images, each(&|i| i.resize(4, 3, Filter::Bicubic).unwrap()));

        let first = |_| Some(kernels::CropBox { x: 0, y: 0, width: 1, height: 1 });
        let cropped = kernels::crop(column, first, OnError::Raise).unwrap();
        prop_assert_eq!(cropped.images, each(&|i| i.crop(0, 0, 1, 1).unwrap()));

        let encoded = kernels::encode(column, EncodeFormat::Png, OnError::Raise).unwrap();
        let files: Vec<_> = encoded.array.iter().map(|f| f.map(|f| decode(f, &DecodeOptions::default()).unwrap())).collect();
        prop_assert_eq!(files, images);
    }

    #[test]
    fn a_pixel_batch_holds_the_valid_rows_in_order(images in column()) {
        let (field, array) = images_to_array("i", &images).unwrap();
        let recipe = Preprocess {
            resize: Some(Resize { target: ResizeTarget::ShortestEdge(4), filter: Filter::Bilinear }),
            center_crop: Some(Size { height: 4, width: 3 }),
            normalize: Normalize::NONE,
        };
        let column = ImageColumn::try_new(&field, &array).unwrap();
        let pixels = kernels::to_pixel_batch(column, &recipe, Alpha::Drop, OnError::Raise).unwrap();
        prop_assert!(pixels.valid.iter().eq(images.iter().map(Option::is_some)));
        prop_assert_eq!(pixels.batch.len(), images.iter().flatten().count());
        for (i, image) in images.iter().flatten().enumerate() {
            let mut one = vec![0; 4 * 3 * 3];
            recipe.run(image, Alpha::Drop, &mut one).unwrap();
            prop_assert_eq!(pixels.batch.image(i), &one);
        }
    }
}

#[test]
fn a_failed_row_stops_the_call_or_becomes_null_as_asked() {
    let good = encode(&Image::new(Mode::L, 1, 1, Samples::U8(vec![5])).unwrap(), EncodeFormat::Png).unwrap();
    let files = BinaryArray::from_opt_vec(vec![Some(&good), None, Some(b"not an image"), Some(&good)]);
    let bytes = BytesColumn::try_new(&files).unwrap();

    let error = kernels::decode(bytes, &DecodeOptions::default(), OnError::Raise).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.message().starts_with("row 2: "), "{error}");

    for policy in [OnError::Ignore, OnError::Log] {
        let decoded = kernels::decode(bytes, &DecodeOptions::default(), policy).unwrap();
        let valid: Vec<bool> = decoded.images.iter().map(Option::is_some).collect();
        assert_eq!(valid, [true, false, false, true]);
        assert_eq!(
            decoded.errors.iter().map(|(row, e)| (*row, e.kind())).collect::<Vec<_>>(),
            [(2, ErrorKind::Decode)]
        );
    }
}
