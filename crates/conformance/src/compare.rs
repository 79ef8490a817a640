//! How far apart vectors are.

/// `‖a − b‖ / ‖b‖`; not a number where there is one in either.
pub(crate) fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    let difference = a.iter().zip(b).map(|(x, y)| f64::from(*x) - f64::from(*y));
    norm(difference) / norm(b.iter().map(|y| f64::from(*y)))
}

/// The length of a vector.
pub(crate) fn length(vector: &[f32]) -> f64 {
    norm(vector.iter().map(|x| f64::from(*x)))
}

/// The cosine of each vector of `a` with its own of `b`, after the mean of `b` is removed from both; the smallest.
///
/// Vectors of one model often share a large common part. Without it, an error in the part that tells images apart shows.
pub(crate) fn smallest_centred_cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let width = b.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..width).map(|i| b.iter().map(|v| f64::from(v[i])).sum::<f64>() / b.len() as f64).collect();
    let centred = |v: &[f32]| -> Vec<f64> { v.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect() };
    let cosines = a.iter().zip(b).map(|(a, b)| {
        let (a, b) = (centred(a), centred(b));
        let dot: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        dot / (norm(a.into_iter()) * norm(b.into_iter()))
    });
    // Not `f64::min`, which would drop a NaN.
    cosines.fold(1.0, |least, c| if c < least || c.is_nan() { c } else { least })
}

fn norm(vector: impl Iterator<Item = f64>) -> f64 {
    vector.map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relative_error_is_a_share_of_the_length() {
        assert_eq!(relative_error(&[3.0, 4.5], &[3.0, 4.0]), 0.1);
        assert!(relative_error(&[f32::NAN], &[1.0]).is_nan());
    }

    #[test]
    fn centring_shows_an_error_that_a_large_common_part_hides() {
        let reference = [vec![100.0, 1.0, 0.0], vec![100.0, 0.0, 1.0]];
        let swapped = [reference[1].clone(), reference[0].clone()];
        assert!(smallest_centred_cosine(&swapped, &reference) < -0.99);
        assert!((smallest_centred_cosine(&reference, &reference) - 1.0).abs() < 1e-12);
        assert!(smallest_centred_cosine(&[vec![f32::NAN; 3], vec![1.0; 3]], &reference).is_nan());
    }
}
