//! TIFF: any page, as strips or tiles, of most kinds of colours.
//!
//! [`directory`] reads what a page says of itself. The crate `tiff` undoes compression, prediction and tiling, through
//! [`plain_file`]; JPEG within a page is decoded as JPEG outside is. [`colours`] makes an image of the samples.

mod colours;
mod directory;
mod page;
mod plain_file;
mod samples;

use self::page::Page;
use super::{Decoded, failure, frames, icc, jpeg, task::Task};
use crate::{
    Result,
    image::{Format, Image, Mode, Orientation, Samples},
    options::Icc,
};

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Decoded> {
    let directory = match directory::page(bytes, task.frame, || task.is_late()) {
        Some(Ok(directory)) => directory,
        Some(Err(count)) => return Err(frames::missing(Format::Tiff, task.frame, count)),
        None => return Err(failure::truncated(Format::Tiff, bytes)),
    };
    let page = Page::read(&directory, bytes, task)?;
    let (samples, page) = samples::read(bytes, &directory, page, task)?;
    let mut profile = match task.icc {
        // L*a*b* needs no profile, and is sRGB once it is decoded.
        Icc::Srgb if page.photometric != page::LAB => directory.bytes(directory::PROFILE).map(<[u8]>::to_vec),
        _ => None,
    };
    let image = match colours::image(&directory, &page, samples)? {
        colours::Colours::Image(image) => image,
        colours::Colours::Inks(inks) => {
            let of_inks = profile.as_deref().and_then(|profile| icc::inks_to_srgb(&inks, profile));
            profile = None;
            let rgb = of_inks.unwrap_or_else(|| jpeg::inks_to_rgb(&inks));
            Image::new(Mode::Rgb, page.width, page.height, Samples::U8(rgb))?
        }
    };
    Ok(Decoded { image, orientation: orientation(&directory), profile })
}

fn orientation(directory: &directory::Directory<'_>) -> Orientation {
    let own = directory.number(directory::ORIENTATION).and_then(|value| Orientation::from_exif(value.try_into().ok()?));
    own.or_else(|| Orientation::from_xmp(directory.bytes(directory::XMP)?)).unwrap_or_default()
}
