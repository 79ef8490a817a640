//! One step of preparing an image, on a fixed picture, once, for a counter of instructions: `cargo xtask instructions`
//! runs it under valgrind.
//!
//! ```sh
//! cargo run --release -p imbed-core --example count_images            # names them
//! cargo run --release -p imbed-core --example count_images -- jpeg    # runs one
//! ```

use std::hint::black_box;

use imbed_core::{
    Error, ErrorKind, Result,
    image::{DecodeOptions, EncodeFormat, Filter, Image, Mode, Samples, decode, encode},
};

const STEPS: &[&str] = &["jpeg", "png", "resize-bilinear", "resize-bicubic", "resize-lanczos"];
const WIDTH: u32 = 500;
const HEIGHT: u32 = 375;

fn main() -> Result<()> {
    let picture = picture()?;
    match std::env::args().nth(1).as_deref() {
        None => {
            println!("{}", STEPS.join("\n"));
            Ok(())
        }
        Some("jpeg") => decoded(&encode(&picture, EncodeFormat::Jpeg { quality: 90 })?),
        Some("png") => decoded(&encode(&picture, EncodeFormat::Png)?),
        Some("resize-bilinear") => resized(&picture, Filter::Bilinear),
        Some("resize-bicubic") => resized(&picture, Filter::Bicubic),
        Some("resize-lanczos") => resized(&picture, Filter::Lanczos),
        Some(name) => Err(Error::new(ErrorKind::BadOption, format!("no step is called '{name}'"))
            .hint(format!("they are: {}", STEPS.join(", ")))),
    }
}

/// The function whose instructions are counted: the first call, which also allocates, is not.
#[inline(never)]
fn counted(run: &dyn Fn() -> Result<Image>) -> Result<Image> {
    run()
}

fn twice(run: impl Fn() -> Result<Image>) -> Result<()> {
    black_box(run()?);
    black_box(counted(&run)?);
    Ok(())
}

fn decoded(file: &[u8]) -> Result<()> {
    twice(|| decode(black_box(file), &DecodeOptions::default()))
}

fn resized(picture: &Image, filter: Filter) -> Result<()> {
    twice(|| black_box(picture).resize(298, 224, filter))
}

/// Waves of several lengths and a little noise.
fn picture() -> Result<Image> {
    let mut noise = 1_u32;
    let mut pixels = Vec::with_capacity((3 * WIDTH * HEIGHT) as usize);
    for y in 0..HEIGHT as i32 {
        for x in 0..WIDTH as i32 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Whole numbers only: the picture is the same on every machine.
            let wave = |length: i32, at: i32| ((at % (2 * length)) - length).abs() * 64 / length;
            let light = wave(120, x + y) + wave(37, x - y + 1000) + (noise >> 29) as i32;
            pixels.extend([light, light + wave(60, y), light + wave(90, x)].map(|v| v.clamp(0, 255) as u8));
        }
    }
    Image::new(Mode::Rgb, WIDTH, HEIGHT, Samples::U8(pixels))
}
