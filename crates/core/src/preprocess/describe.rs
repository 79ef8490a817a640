//! A recipe in one line, for plans.

use std::fmt;

use super::{Preprocess, Resize, ResizeTarget, Size};

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RGB")?;
        if let Some(Resize { target, filter }) = self.resize {
            match target {
                ResizeTarget::ShortestEdge(edge) => write!(f, ", shortest edge {edge}")?,
                ResizeTarget::Edges { shortest, longest } => {
                    write!(f, ", shortest edge {shortest}, longest at most {longest}")?;
                }
                ResizeTarget::Within(size) => write!(f, ", within {size}")?,
                ResizeTarget::Exact(size) => write!(f, ", resize {size}")?,
                ResizeTarget::ConvNext { side, .. } => match target.convnext_edge() {
                    Some(edge) => write!(f, ", shortest edge {edge} and its middle {side}x{side}")?,
                    None => write!(f, ", resize {side}x{side}")?,
                },
                ResizeTarget::Patches { patch, max_patches } => {
                    write!(f, ", at most {max_patches} patches of {patch}x{patch}")?;
                }
            }
            write!(f, " {}", format!("{filter:?}").to_lowercase())?;
        }
        if let Some(size) = self.center_crop {
            write!(f, ", centre crop {size}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::Filter, preprocess::Normalize};

    #[test]
    fn every_recipe_reads_as_one_line() {
        let size = Size { height: 3, width: 4 };
        for (target, center_crop, wanted) in [
            (ResizeTarget::ShortestEdge(9), Some(size), "RGB, shortest edge 9 bicubic, centre crop 3x4"),
            (
                ResizeTarget::Edges { shortest: 9, longest: 12 },
                None,
                "RGB, shortest edge 9, longest at most 12 bicubic",
            ),
            (ResizeTarget::Within(size), None, "RGB, within 3x4 bicubic"),
            (ResizeTarget::Exact(size), None, "RGB, resize 3x4 bicubic"),
            (
                ResizeTarget::ConvNext { side: 224, crop_pct: 0.875 },
                None,
                "RGB, shortest edge 256 and its middle 224x224 bicubic",
            ),
            (ResizeTarget::ConvNext { side: 384, crop_pct: 0.875 }, None, "RGB, resize 384x384 bicubic"),
            (ResizeTarget::Patches { patch: 16, max_patches: 256 }, None, "RGB, at most 256 patches of 16x16 bicubic"),
        ] {
            let resize = Some(Resize { target, filter: Filter::Bicubic });
            assert_eq!(Preprocess { resize, center_crop, normalize: Normalize::NONE }.to_string(), wanted);
        }
    }
}
