//! Orientation, from EXIF and XMP.

use crate::image::Orientation;

/// What EXIF says, from its TIFF header on, or else XMP.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    // Some programs put a JPEG's segment name before the header in other formats too.
    let exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    match exif.and_then(image::metadata::Orientation::from_exif_chunk) {
        Some(found) => Orientation::from_exif(found.to_exif().into()),
        None => xmp.and_then(Orientation::from_xmp),
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTATE: &[u8] = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";

    #[test]
    fn exif_goes_before_xmp_and_may_carry_its_segment_name() {
        let xmp = b"tiff:Orientation=\"3\"";
        assert_eq!(orientation(Some(ROTATE), Some(xmp)), Orientation::Rotate90);
        assert_eq!(orientation(Some(&[b"Exif\0\0", ROTATE].concat()), None), Orientation::Rotate90);
        assert_eq!(orientation(Some(b"broken"), Some(xmp)), Orientation::Rotate180);
        assert_eq!(orientation(None, None), Orientation::Upright);
    }
}
