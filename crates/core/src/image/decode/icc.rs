//! From the colours of an ICC profile to sRGB, with the perceptual intent, as `PIL.ImageCms.profileToProfile` does by default.
//!
//! A profile that is broken, too large, or for another kind of colours than the picture's changes nothing.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::image::{Image, Mode, Samples};

/// Profiles of presses have 3 MB; what is larger is no honest profile.
pub(super) const MOST_BYTES: usize = 8 << 20;

/// The picture in sRGB; grey becomes colour. Floats stay as they are.
pub(super) fn to_srgb(image: Image, profile: &[u8]) -> Image {
    converted(&image, profile).unwrap_or(image)
}

fn converted(image: &Image, profile: &[u8]) -> Option<Image> {
    let profile = read(profile)?;
    let (space, from, to, mode) = match image.mode() {
        Mode::L => (DataColorSpace::Gray, Layout::Gray, Layout::Rgb, Mode::Rgb),
        Mode::La => (DataColorSpace::Gray, Layout::GrayAlpha, Layout::Rgba, Mode::Rgba),
        Mode::Rgb => (DataColorSpace::Rgb, Layout::Rgb, Layout::Rgb, Mode::Rgb),
        Mode::Rgba => (DataColorSpace::Rgb, Layout::Rgba, Layout::Rgba, Mode::Rgba),
        Mode::L16 => (DataColorSpace::Gray, Layout::Gray, Layout::Rgb, Mode::Rgb16),
        Mode::La16 => (DataColorSpace::Gray, Layout::GrayAlpha, Layout::Rgba, Mode::Rgba16),
        Mode::Rgb16 => (DataColorSpace::Rgb, Layout::Rgb, Layout::Rgb, Mode::Rgb16),
        Mode::Rgba16 => (DataColorSpace::Rgb, Layout::Rgba, Layout::Rgba, Mode::Rgba16),
        Mode::Rgb32F | Mode::Rgba32F => return None,
    };
    if profile.color_space != space {
        return None;
    }
    let (srgb, options) = (ColorProfile::new_srgb(), options());
    let pixels = image.width() as usize * image.height() as usize;
    let samples = match image.samples() {
        Samples::U8(samples) => {
            let mut out = vec![0; pixels * mode.channels()];
            profile.create_transform_8bit(from, &srgb, to, options).ok()?.transform(samples, &mut out).ok()?;
            Samples::U8(out)
        }
        Samples::U16(samples) => {
            let mut out = vec![0; pixels * mode.channels()];
            profile.create_transform_16bit(from, &srgb, to, options).ok()?.transform(samples, &mut out).ok()?;
            Samples::U16(out)
        }
        Samples::F32(_) => return None,
    };
    Image::new(mode, image.width(), image.height(), samples).ok()
}

/// Whether `profile` is for four inks.
pub(super) fn is_of_inks(profile: &[u8]) -> bool {
    read(profile).is_some_and(|profile| profile.color_space == DataColorSpace::Cmyk)
}

/// RGB of four bytes a pixel: cyan, magenta, yellow and black, 255 for all the ink.
pub(super) fn inks_to_srgb(inks: &[u8], profile: &[u8]) -> Option<Vec<u8>> {
    let profile = read(profile).filter(|profile| profile.color_space == DataColorSpace::Cmyk)?;
    let mut out = vec![0; inks.len() / 4 * 3];
    let (srgb, options) = (ColorProfile::new_srgb(), options());
    // Four inks share their layout with RGBA.
    let transform = profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, options).ok()?;
    transform.transform(inks, &mut out).ok()?;
    Some(out)
}

/// As exact as can be: a picture is converted once, and embedded for good.
fn options() -> TransformOptions {
    TransformOptions { prefer_fixed_point: false, ..TransformOptions::default() }
}

fn read(profile: &[u8]) -> Option<ColorProfile> {
    if profile.len() > MOST_BYTES { None } else { ColorProfile::new_from_slice(profile).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(mode: Mode, samples: Vec<u8>) -> Image {
        Image::new(mode, (samples.len() / mode.channels()) as u32, 1, Samples::U8(samples)).unwrap()
    }

    fn profile(profile: &ColorProfile) -> Vec<u8> {
        profile.encode().unwrap()
    }

    #[test]
    fn srgb_stays_itself_and_a_wider_space_grows_more_colourful() {
        let picture = image(Mode::Rgba, vec![200, 100, 50, 7, 0, 0, 0, 255, 255, 255, 255, 0]);
        let same = to_srgb(picture.clone(), &profile(&ColorProfile::new_srgb()));
        for (a, b) in same.as_u8().unwrap().iter().zip(picture.as_u8().unwrap()) {
            assert!(a.abs_diff(*b) <= 1, "{same:?}");
        }
        let wide = to_srgb(picture, &profile(&ColorProfile::new_display_p3()));
        let [r, _, b, a, ..] = wide.as_u8().unwrap() else { panic!("{wide:?}") };
        assert!(*r > 205 && *b < 45 && *a == 7, "{wide:?}");
    }

    #[test]
    fn a_profile_that_is_broken_or_for_other_colours_changes_nothing() {
        let grey = image(Mode::L, vec![1, 2, 3]);
        for bytes in [vec![], b"not a profile".to_vec(), profile(&ColorProfile::new_srgb()), vec![0; MOST_BYTES + 1]] {
            assert_eq!(to_srgb(grey.clone(), &bytes), grey);
            assert!(!is_of_inks(&bytes) && inks_to_srgb(&[0; 4], &bytes).is_none());
        }
    }

    #[test]
    fn grey_with_a_profile_becomes_colour() {
        let grey = to_srgb(image(Mode::L, vec![0, 128, 255]), &profile(&ColorProfile::new_gray_with_gamma(1.0)));
        assert_eq!(grey.mode(), Mode::Rgb);
        let [0, 0, 0, r, g, b, 255, 255, 255] = grey.as_u8().unwrap() else { panic!("{grey:?}") };
        // Half the light is 188 in sRGB.
        assert!(r == g && g == b && r.abs_diff(188) <= 1, "{grey:?}");
    }
}
