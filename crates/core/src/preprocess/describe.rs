//! A recipe in one line, for plans.

use std::fmt;

use super::{Preprocess, Resize, ResizeTarget, Size};

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RGB")?;
        if let Some(Resize { target, filter }) = self.resize {
            match target {
                ResizeTarget::ShortestEdge(edge) => write!(f, ", shortest edge {edge}")?,
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
