//! Colours weighed by their alpha, so that a transparent pixel's colour does not count. The arithmetic is Pillow's.

/// Colours times alpha over 255, rounded.
pub(super) fn weigh_bytes(samples: &[u8], channels: usize) -> Vec<u8> {
    let mut out = samples.to_vec();
    for pixel in out.chunks_exact_mut(channels) {
        let Some((alpha, colours)) = pixel.split_last_mut() else { continue };
        for colour in colours {
            // Exactly round(colour * alpha / 255) without a division.
            let product = u32::from(*colour) * u32::from(*alpha) + 128;
            *colour = (((product >> 8) + product) >> 8) as u8;
        }
    }
    out
}

/// Colours times 255 over alpha, rounded down, as they were before [`weigh_bytes`]. Where alpha is 0 they stay.
pub(super) fn unweigh_bytes(samples: &mut [u8], channels: usize) {
    for pixel in samples.chunks_exact_mut(channels) {
        let Some((alpha, colours)) = pixel.split_last_mut() else { continue };
        if matches!(*alpha, 0 | 255) {
            continue;
        }
        for colour in colours {
            *colour = (u32::from(*colour) * 255 / u32::from(*alpha)).min(255) as u8;
        }
    }
}
