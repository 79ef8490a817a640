//! The size of an image in whole patches (`NaFlex`).

use super::Size;

/// The largest size of whole patches, `max_patches` at most, that keeps the proportion of `from` but for the rounding up
/// of each side to the next patch.
///
/// The reference looks for the scale by halving an interval, in `f64`, until it is shorter than 1e-5. Where it ends decides
/// sizes, so it is done the same way here and not solved exactly. (Nothing becomes more than a hundred times as large.)
pub(super) fn fit(from: Size, patch: u32, max_patches: u32) -> Size {
    const EPSILON: f64 = 1e-5;
    let (patch, max_patches) = (patch.max(1), max_patches.max(1));
    let patches = |scale: f64| {
        let along = |side: u32| (f64::from(side) * scale / f64::from(patch)).ceil().max(1.0);
        (along(from.height), along(from.width))
    };
    let (mut low, mut high) = (EPSILON / 10.0, 100.0);
    while high - low >= EPSILON {
        let scale = f64::midpoint(low, high);
        let (rows, columns) = patches(scale);
        if rows * columns <= f64::from(max_patches) {
            low = scale;
        } else {
            high = scale;
        }
    }
    let (rows, columns) = patches(low);
    // The smallest scale was not tried. It is one patch for every image of less than a million pixels a side; a longer one
    // must not break the bound either.
    let rows = (rows as u32).min(max_patches);
    let columns = (columns as u32).min(max_patches / rows);
    Size { height: rows.saturating_mul(patch), width: columns.saturating_mul(patch) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Computed by `get_image_size_for_max_num_patches` of `transformers` 5.23.
    #[test]
    fn sizes_are_those_of_the_reference() {
        for ((height, width), patch, max_patches, (h, w)) in [
            ((375, 500), 16, 256, (224, 288)),
            ((500, 375), 16, 256, (288, 224)),
            ((1, 1), 16, 256, (112, 112)),
            ((3, 3), 16, 256, (256, 256)),
            ((1, 65535), 16, 256, (16, 4096)),
            ((65535, 1), 16, 1024, (16384, 16)),
            ((3000, 4000), 14, 729, (322, 434)),
            ((224, 224), 16, 196, (224, 224)),
            ((17, 900), 16, 64, (16, 848)),
            ((256, 256), 16, 256, (256, 256)),
            ((100, 100), 16, 1, (16, 16)),
            ((37, 50), 8, 7, (16, 24)),
        ] {
            let size = fit(Size { height, width }, patch, max_patches);
            assert_eq!((size.height, size.width), (h, w), "{height} x {width}, {max_patches} of {patch}");
        }
    }

    proptest! {
        #[test]
        fn sizes_are_whole_patches_within_the_bound(
            height in 1..=u32::MAX, width in 1..=u32::MAX, patch in 1..64_u32, max_patches in 1..2000_u32,
        ) {
            let size = fit(Size { height, width }, patch, max_patches);
            prop_assert_eq!((size.height % patch, size.width % patch), (0, 0));
            let patches = u64::from(size.height / patch) * u64::from(size.width / patch);
            prop_assert!((1..=u64::from(max_patches)).contains(&patches));
        }
    }
}
