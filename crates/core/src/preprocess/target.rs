//! The sizes that a resize gives.

use super::{MAX_SIDE, ResizeTarget, Size, patches};

/// From this side on `ConvNeXT` cuts nothing.
const CONVNEXT_WARPS: u32 = 384;

impl ResizeTarget {
    /// The size that an image of size `from` gets.
    pub fn size_for(self, from: Size) -> Size {
        self.cut().unwrap_or_else(|| self.resized(from))
    }

    /// The size of the resized image, of which [`cut`](Self::cut) may keep the middle only.
    pub(super) fn resized(self, from: Size) -> Size {
        match self {
            Self::Exact(size) => size,
            Self::ShortestEdge(edge) => shortest_edge(edge, from),
            Self::ConvNext { side, .. } => {
                self.convnext_edge().map_or(Size::square(side), |edge| shortest_edge(edge, from))
            }
            Self::Edges { shortest, longest } => edges(shortest, longest, from),
            Self::Within(size) => within(size, from),
            Self::Patches { patch, max_patches } => patches::fit(from, patch, max_patches),
        }
    }

    /// What the target itself cuts from the middle of the resized image.
    pub(super) fn cut(self) -> Option<Size> {
        match self {
            Self::ConvNext { side, .. } => self.convnext_edge().map(|_| Size::square(side)),
            _ => None,
        }
    }

    /// The size of every result, if all images get one.
    pub(super) fn output_size(self) -> Option<Size> {
        match self {
            Self::Exact(size) => Some(size),
            Self::ConvNext { side, .. } => Some(Size::square(side)),
            Self::ShortestEdge(_) | Self::Edges { .. } | Self::Within(_) | Self::Patches { .. } => None,
        }
    }

    /// Bytes of the largest result, if there is a largest one.
    pub(super) fn max_output_bytes(self) -> Option<u64> {
        match self {
            Self::Exact(size) | Self::Within(size) => Some(size.bytes()),
            Self::ConvNext { side, .. } => Some(Size::square(side).bytes()),
            // A shorter side that rounds to the right length stays, and the longer with it: at most one part in the
            // shorter side over the bound.
            Self::Edges { shortest, longest } => Some((u64::from(shortest) + 1).saturating_mul(u64::from(longest) * 3)),
            Self::Patches { patch, max_patches } => {
                Some((u64::from(patch) * u64::from(patch)).saturating_mul(u64::from(max_patches) * 3))
            }
            Self::ShortestEdge(_) => None,
        }
    }

    /// The length of the shorter side before `ConvNeXT`'s own cut; `None` where it cuts nothing.
    pub(super) fn convnext_edge(self) -> Option<u32> {
        match self {
            // A cast from float saturates, and the bound keeps what it gives computable.
            Self::ConvNext { side, crop_pct } if side < CONVNEXT_WARPS => {
                Some(((f64::from(side) / crop_pct) as u32).clamp(1, MAX_SIDE))
            }
            _ => None,
        }
    }
}

fn shortest_edge(edge: u32, from: Size) -> Size {
    // Whole numbers: the reference divides floats and cuts, which agrees for every size that an image can have.
    let long = |long: u32, short: u32| {
        let length = u64::from(edge) * u64::from(long) / u64::from(short.max(1));
        u32::try_from(length).unwrap_or(u32::MAX)
    };
    if from.width <= from.height {
        Size { height: long(from.height, from.width), width: edge }
    } else {
        Size { height: edge, width: long(from.width, from.height) }
    }
}

/// The shorter side `shortest` long, or less where the longer would exceed `longest`. Floats, halves to even, and a
/// shorter side that has its length already changes neither: all of the reference.
fn edges(shortest: u32, longest: u32, from: Size) -> Size {
    let (height, width) = (f64::from(from.height), f64::from(from.width));
    let (short, long) = (height.min(width), height.max(width));
    let (mut wanted, mut exact) = (f64::from(shortest), f64::from(shortest));
    if long / short * wanted > f64::from(longest) {
        exact = f64::from(longest) * short / long;
        wanted = exact.round_ties_even();
    }
    if short == wanted {
        from
    } else if width < height {
        Size { height: (exact * height / width) as u32, width: wanted as u32 }
    } else {
        Size { height: wanted as u32, width: (exact * width / height) as u32 }
    }
}

/// The size of `from` times the smaller of two scales.
fn within(bound: Size, from: Size) -> Size {
    let (height, width) = (f64::from(from.height), f64::from(from.width));
    let scale = (f64::from(bound.height) / height).min(f64::from(bound.width) / width);
    Size { height: (height * scale) as u32, width: (width * scale) as u32 }
}

impl Size {
    /// `side` x `side`.
    pub(super) const fn square(side: u32) -> Self {
        Self { height: side, width: side }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_edge_keeps_the_proportion_rounded_down() {
        let target = ResizeTarget::ShortestEdge(224);
        for ((h, w), (th, tw)) in
            [((375, 500), (224, 298)), ((500, 375), (298, 224)), ((224, 224), (224, 224)), ((10, 333), (224, 7459))]
        {
            assert_eq!(target.size_for(Size { height: h, width: w }), Size { height: th, width: tw });
        }
    }

    #[test]
    fn convnext_cuts_below_384_and_warps_from_there() {
        let from = Size { height: 300, width: 600 };
        let small = ResizeTarget::ConvNext { side: 224, crop_pct: 0.875 };
        assert_eq!(small.resized(from), Size { height: 256, width: 512 });
        assert_eq!((small.cut(), small.size_for(from)), (Some(Size::square(224)), Size::square(224)));
        let large = ResizeTarget::ConvNext { side: 384, crop_pct: 0.875 };
        assert_eq!((large.resized(from), large.cut()), (Size::square(384), None));
    }

    #[test]
    fn what_has_a_bound_says_it() {
        let patches = ResizeTarget::Patches { patch: 16, max_patches: 256 };
        assert_eq!((patches.output_size(), patches.max_output_bytes()), (None, Some(256 * 16 * 16 * 3)));
        assert_eq!(ResizeTarget::ShortestEdge(224).max_output_bytes(), None);
        let convnext = ResizeTarget::ConvNext { side: 10, crop_pct: 0.5 };
        assert_eq!((convnext.output_size(), convnext.max_output_bytes()), (Some(Size::square(10)), Some(300)));
    }
}
