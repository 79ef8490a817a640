//! What holds for every recipe on every image.

use imbed_core::{
    ErrorKind,
    image::{Filter, Image, Mode, Samples},
    options::Alpha,
    preprocess::{Normalize, Preprocess, Resize, ResizeTarget, Size},
};
use proptest::prelude::*;

fn sizes(most: u32) -> impl Strategy<Value = Size> {
    (1..=most, 1..=most).prop_map(|(height, width)| Size { height, width })
}

fn targets() -> impl Strategy<Value = ResizeTarget> {
    prop_oneof![
        (1..=70_u32).prop_map(ResizeTarget::ShortestEdge),
        (1..=70_u32, 1..=70_u32).prop_map(|(shortest, longest)| ResizeTarget::Edges { shortest, longest }),
        sizes(70).prop_map(ResizeTarget::Within),
        sizes(70).prop_map(ResizeTarget::Exact),
        (1..=70_u32, 0.2..1.5_f64).prop_map(|(side, crop_pct)| ResizeTarget::ConvNext { side, crop_pct }),
        (1..=16_u32, 1..=40_u32).prop_map(|(patch, max_patches)| ResizeTarget::Patches { patch, max_patches }),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    prop::sample::select(Filter::ALL.to_vec())
}

fn picture(size: Size, seed: u64) -> Image {
    let sample = |i: u64| ((i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
    let samples = (0..size.bytes()).map(sample).collect();
    Image::new(Mode::Rgb, size.width, size.height, Samples::U8(samples)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_output_has_its_size_and_stays_within_the_bound(
        from in sizes(70), target in proptest::option::of(targets()), filter in filters(),
        center_crop in proptest::option::of(sizes(70)), seed in any::<u32>(),
    ) {
        let resize = target.map(|target| Resize { target, filter });
        let recipe = Preprocess { resize, center_crop, normalize: Normalize::NONE };
        let size = recipe.output_size_for(from);
        prop_assert!(recipe.output_size().is_none_or(|fixed| fixed == size));
        prop_assert!(recipe.max_output_bytes().is_none_or(|most| size.bytes() <= most), "{} for {from}", size);
        let mut out = vec![0; size.bytes() as usize];
        let result = recipe.run(&picture(from, seed.into()), Alpha::Drop, &mut out);
        // Only keeping a proportion within a bound can leave nothing of a side.
        let thin = matches!(target, Some(ResizeTarget::Edges { .. } | ResizeTarget::Within(_)));
        match result {
            Ok(()) => {}
            Err(error) => prop_assert!(thin && error.kind() == ErrorKind::Dimensions, "{}", error),
        }
        prop_assert_eq!(
            recipe.run(&picture(from, 0), Alpha::Drop, &mut vec![0; size.bytes() as usize + 1]).unwrap_err().kind(),
            ErrorKind::Dimensions
        );
    }

    #[test]
    fn a_crop_holds_the_bytes_of_the_whole_resized_image(
        from in sizes(70), target in targets(), filter in filters(), crop in sizes(70), seed in any::<u32>(),
    ) {
        let image = picture(from, seed.into());
        let resize = Some(Resize { target, filter });
        let run = |center_crop: Option<Size>| {
            let recipe = Preprocess { resize, center_crop, normalize: Normalize::NONE };
            let size = recipe.output_size_for(from);
            let mut out = vec![7; size.bytes() as usize];
            recipe.run(&image, Alpha::Drop, &mut out).map(|()| (size, out))
        };
        let Ok((whole, pixels)) = run(None) else { return Ok(()) };
        let (size, cut) = run(Some(crop)).unwrap();
        prop_assert_eq!(size, crop);
        // Where the crop begins in the whole; before that and behind it lies black.
        let start = |whole: u32, crop: u32| (i64::from(whole) - i64::from(crop)).div_euclid(2);
        let (top, left) = (start(whole.height, crop.height), start(whole.width, crop.width));
        for y in 0..i64::from(crop.height) {
            for x in 0..i64::from(crop.width) {
                let (row, column) = (y + top, x + left);
                let inside = (0..i64::from(whole.height)).contains(&row) && (0..i64::from(whole.width)).contains(&column);
                let wanted = if inside { &pixels[(row * i64::from(whole.width) + column) as usize * 3..][..3] } else { &[0; 3] };
                prop_assert_eq!(&cut[(y * i64::from(crop.width) + x) as usize * 3..][..3], wanted, "at {}, {}", x, y);
            }
        }
    }

    #[test]
    fn another_image_size_is_the_size_of_every_output_of_a_fixed_recipe(
        from in sizes(70), target in targets(), filter in filters(), crop in proptest::option::of(1..=70_u32), side in 1..=70_u32,
    ) {
        let center_crop = crop.map(|side| Size { height: side, width: side });
        let recipe = Preprocess { resize: Some(Resize { target, filter }), center_crop, normalize: Normalize::NONE };
        let fixed = recipe.output_size().is_some();
        if let Ok(resized) = recipe.with_image_size(side)
            && fixed
        {
            prop_assert_eq!(resized.output_size_for(from), Size { height: side, width: side });
        }
    }
}
