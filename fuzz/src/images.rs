//! Files of images. The first byte chooses how they are decoded, the rest is the file.

use std::time::Duration;

use imbed_core::{
    Error, ErrorKind, Preprocess,
    image::{DecodeOptions, Filter, Format, Image, Limits, decode, jpeg_size, sniff},
    options::{Alpha, Icc},
    preprocess::{Normalize, Resize, ResizeTarget, Size},
};

/// Small, so that a fuzzer tries many files in a second and an excess shows.
const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
    max_side: 1 << 14,
    max_bytes: 1 << 20,
    max_alloc: 48 << 20,
    max_time: Duration::from_secs(8),
};

fn options(choice: u8) -> DecodeOptions {
    let bit = |n: u8| choice >> n & 1 == 1;
    DecodeOptions {
        limits: LIMITS,
        allow_truncated: bit(0),
        icc: if bit(1) { Icc::Srgb } else { Icc::Ignore },
        exif_orientation: !bit(2),
        frame: u32::from(choice >> 3 & 3),
        at_least: bit(5).then_some(Size { height: u32::from(choice >> 6) * 9, width: 7 }),
    }
}

fn checked(result: &Result<Image, Error>, options: &DecodeOptions) {
    match result {
        Ok(image) => {
            let pixels = u64::from(image.width()) * u64::from(image.height());
            assert!(pixels > 0 && pixels <= options.limits.max_pixels, "{} x {}", image.width(), image.height());
        }
        Err(error) => {
            let kinds = [ErrorKind::Decode, ErrorKind::Unsupported, ErrorKind::Limit];
            assert!(kinds.contains(&error.kind()), "{}: {error}", error.kind());
            // In whole words of ours: a message may quote how a file starts.
            assert!(!error.message().contains("the decoder panicked on it"), "{error}");
            assert!(!error.message().contains("took longer than the limit"), "{error}");
        }
    }
}

fn decoded(input: &[u8], wanted: impl Fn(Format) -> bool) {
    let Some((choice, file)) = input.split_first() else { return };
    if sniff(file).is_some_and(wanted) {
        let options = options(*choice);
        checked(&decode(file, &options), &options);
    }
}

macro_rules! formats {
    ($($name:ident $format:ident)*) => {
        $(pub(crate) fn $name(input: &[u8]) {
            decoded(input, |format| format == Format::$format);
        })*
    };
}

formats! {
    jpeg Jpeg png Png gif Gif webp WebP bmp Bmp tiff Tiff ico Ico pnm Pnm tga Tga qoi Qoi hdr Hdr exr Exr farbfeld Farbfeld
}

/// EXIF or XMP, in a JPEG's segment: the header alone is read.
pub(crate) fn exif(input: &[u8]) {
    let Some((choice, metadata)) = input.split_first() else { return };
    let name: &[u8] = if choice & 1 == 0 { b"Exif\0\0" } else { b"http://ns.adobe.com/xap/1.0/\0" };
    let length = (metadata.len() + name.len() + 2).min(usize::from(u16::MAX));
    let metadata = &metadata[..length - name.len() - 2];
    let file = [
        b"\xff\xd8\xff\xe1".as_slice(),
        &(length as u16).to_be_bytes(),
        name,
        metadata,
        b"\xff\xc0\0\x0b\x08\0\x02\0\x05\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\xff\xd9",
    ]
    .concat();
    let size = jpeg_size(&file, &DecodeOptions::default()).expect("the header is whole");
    assert!(matches!((size.width, size.height), (5, 2) | (2, 5)), "{size:?}");
}

/// A recipe of the first bytes.
fn recipe(bytes: &[u8; 6]) -> Preprocess {
    let [kind, filter, a, b, c, d] = bytes.map(usize::from);
    let [a, b, c, d] = [a, b, c, d].map(|side| side as u32 + 1);
    let target = match kind % 5 {
        0 => Some(ResizeTarget::ShortestEdge(a)),
        1 => Some(ResizeTarget::Exact(Size { height: a, width: b })),
        2 => Some(ResizeTarget::ConvNext { side: a, crop_pct: 0.875 }),
        3 => Some(ResizeTarget::Patches { patch: 1 + a % 32, max_patches: b }),
        _ => None,
    };
    let filter = Filter::ALL[filter % Filter::ALL.len()];
    Preprocess {
        resize: target.map(|target| Resize { target, filter }),
        center_crop: (kind >= 128).then_some(Size { height: c, width: d }),
        normalize: Normalize::NONE,
    }
}

fn prepared(recipe: &Preprocess, file: &[u8], options: &DecodeOptions) {
    let reduced = match recipe.decode_reduced(file, options) {
        Ok(reduced) => reduced,
        Err(error) => return checked(&Err(error), options),
    };
    let size = recipe.output_size_for(reduced.full);
    // What a recipe asks for is the model's word, and no stranger's.
    if size.bytes() < 16 << 20 {
        let mut out = vec![0; size.bytes() as usize];
        // A picture so thin that nothing is left of it is an error.
        let _ = recipe.run_reduced(&reduced, Alpha::Over([1, 2, 3]), &mut out);
    }
}

/// JPEGs that are decoded smaller than they are, for the usual recipe.
pub(crate) fn reduced(input: &[u8]) {
    let Some((choice, file)) = input.split_first() else { return };
    if sniff(file) == Some(Format::Jpeg) {
        prepared(&recipe(&[130, choice >> 6, choice % 16, 0, 7, 7]), file, &options(*choice));
    }
}

/// Any format and any recipe.
pub(crate) fn preprocess(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let Some((chosen, file)) = rest.split_first_chunk() else { return };
    prepared(&recipe(chosen), file, &options(*choice));
}
