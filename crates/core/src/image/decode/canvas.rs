//! A picture that frames are laid on.

/// Red, green, blue, alpha.
pub(super) type Pixel = [u8; 4];

/// Where a frame lies, in pixels. Always within its canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

#[derive(Clone)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<Pixel>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, colour: Pixel) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// The rows of `place`, from the top.
    pub(super) fn rows(&mut self, place: Place) -> impl Iterator<Item = &mut [Pixel]> {
        let rows = self.pixels.chunks_exact_mut(self.width.max(1));
        rows.skip(place.y).take(place.height).map(move |row| &mut row[place.x..place.x + place.width])
    }

    pub(super) fn fill(&mut self, place: Place, colour: Pixel) {
        self.rows(place).for_each(|row| row.fill(colour));
    }

    /// The pixels of `place`, row by row.
    pub(super) fn copy(&mut self, place: Place) -> Vec<Pixel> {
        let mut pixels = Vec::with_capacity(place.width * place.height);
        self.rows(place).for_each(|row| pixels.extend_from_slice(row));
        pixels
    }

    /// Lays `pixels`, row by row, on `place`; `lay` makes a new pixel of the old and the given one.
    pub(super) fn lay(&mut self, place: Place, pixels: &[Pixel], lay: impl Fn(Pixel, Pixel) -> Pixel) {
        for (row, given) in self.rows(place).zip(pixels.chunks_exact(place.width.max(1))) {
            row.iter_mut().zip(given).for_each(|(pixel, given)| *pixel = lay(*pixel, *given));
        }
    }

    /// The canvas, larger to the right and below, where it has `colour`.
    pub(super) fn grown(mut self, width: usize, height: usize, colour: Pixel) -> Self {
        let mut larger = Self::new(width, height, colour);
        let place = Place { x: 0, y: 0, width: self.width, height: self.height };
        let pixels = std::mem::take(&mut self.pixels);
        larger.lay(place, &pixels, |_, given| given);
        larger
    }

    /// Three or four bytes a pixel.
    pub(super) fn bytes(self, alpha: bool) -> Vec<u8> {
        if alpha {
            self.pixels.into_flattened()
        } else {
            self.pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect()
        }
    }
}

/// `b` at the opacity `alpha` over `a`, rounded as PIL does.
pub(super) fn blend(a: u8, b: u8, alpha: u8) -> u8 {
    let sum = u32::from(a) * u32::from(255 - alpha) + u32::from(b) * u32::from(alpha) + 128;
    (((sum >> 8) + sum) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_change_their_place_only() {
        let mut canvas = Canvas::new(3, 2, [0; 4]);
        let place = Place { x: 1, y: 1, width: 2, height: 1 };
        canvas.lay(place, &[[1; 4], [2; 4]], |_, given| given);
        assert_eq!(canvas.copy(place), [[1; 4], [2; 4]]);
        assert_eq!(canvas.pixels[..4], [[0; 4]; 4]);
        let grown = canvas.grown(4, 3, [9; 4]);
        assert_eq!(grown.bytes(false).len(), 36);
    }

    #[test]
    fn blending_is_exact_at_the_ends_and_rounds_between() {
        for alpha in 0..=255_u8 {
            let exact = (f64::from(255 - alpha) * 10.0 + f64::from(alpha) * 200.0) / 255.0;
            assert!((f64::from(blend(10, 200, alpha)) - exact).abs() <= 0.5);
        }
        assert_eq!((blend(10, 200, 0), blend(10, 200, 255)), (10, 200));
    }
}
