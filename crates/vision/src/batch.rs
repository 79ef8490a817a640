//! Batches of pixels, held against the model before they are run.

use std::collections::BTreeMap;

use imbed_core::{Error, ErrorKind, ImageBatch, PixelBatch, Result};

use crate::architecture::{Architecture, ImageShape, StemShape};

/// Embeds `batch` with `run` as [`each_size`] does, after it was held against the model: what that cannot read is refused
/// before anything is run.
pub fn embed_by_size(
    provider: &str,
    shape: &Architecture,
    batch: ImageBatch<'_>,
    out: &mut [f32],
    run: impl Fn(&PixelBatch, (usize, usize), &mut [f32]) -> Result<()>,
) -> Result<()> {
    if let ImageBatch::Pixels(pixels) = batch {
        check_sizes(shape, pixels)?;
    }
    each_size(provider, shape.width(), batch, out, run)
}

/// Embeds `batch` into `out`, `[images, width]`, with `run`, which is given images of one size, that size in rows and
/// columns, and room for their vectors. Of a batch with images of many sizes, those of one size are run together.
///
/// `provider` is named where the batch is no pixels.
pub fn each_size(
    provider: &str,
    width: usize,
    batch: ImageBatch<'_>,
    out: &mut [f32],
    run: impl Fn(&PixelBatch, (usize, usize), &mut [f32]) -> Result<()>,
) -> Result<()> {
    let ImageBatch::Pixels(pixels) = batch else {
        let message = format!("the provider {provider} reads pixels, not encoded images");
        return Err(Error::new(ErrorKind::BadInput, message)
            .hint("prepare the images with the Preprocess of the descriptor's input"));
    };
    if out.len() != pixels.len() * width {
        let message = format!("room for {} numbers where {} x {width} come", out.len(), pixels.len());
        return Err(Error::new(ErrorKind::Dimensions, message));
    }
    match pixels.size() {
        _ if pixels.is_empty() => Ok(()),
        Some(size) => run(pixels, size, out),
        None => ragged(pixels, width, out, run),
    }
}

fn check_sizes(shape: &Architecture, pixels: &PixelBatch) -> Result<()> {
    let wrong = |given: (usize, usize), wanted: String| {
        let (rows, columns) = given;
        Err(Error::new(ErrorKind::BadInput, format!("pixels of {rows} x {columns} for a model of {wanted}"))
            .hint("prepare the images with the Preprocess of the descriptor's input"))
    };
    for image in 0..pixels.len() {
        let given = pixels.image_size(image);
        match (shape.image, &shape.stem) {
            (ImageShape::Fixed(rows, columns), _) if given != (rows, columns) => {
                return wrong(given, format!("{rows} x {columns}"));
            }
            (ImageShape::Patches(most), StemShape::Patches(rows, columns)) => {
                let whole = given.0.is_multiple_of(*rows) && given.1.is_multiple_of(*columns);
                let patches = (given.0 / rows) * (given.1 / columns);
                if !whole || !(1..=most).contains(&patches) {
                    return wrong(given, format!("1 to {most} patches of {rows} x {columns}"));
                }
            }
            _ => {}
        }
        if pixels.size().is_some() {
            break;
        }
    }
    Ok(())
}

/// One vector per image of a ragged batch: a pass for each size in it, over the images that have it.
fn ragged(
    pixels: &PixelBatch,
    width: usize,
    out: &mut [f32],
    run: impl Fn(&PixelBatch, (usize, usize), &mut [f32]) -> Result<()>,
) -> Result<()> {
    let mut sizes: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for image in 0..pixels.len() {
        sizes.entry(pixels.image_size(image)).or_default().push(image);
    }
    for ((rows, columns), images) in sizes {
        let mut batch = PixelBatch::with_capacity(images.len(), rows, columns);
        for image in &images {
            batch.push(pixels.image(*image), rows, columns);
        }
        let mut vectors = vec![0.0; images.len() * width];
        run(&batch, (rows, columns), &mut vectors)?;
        for (image, vector) in images.iter().zip(vectors.chunks_exact(width)) {
            out[image * width..][..width].copy_from_slice(vector);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::tests::clip_b32;

    #[test]
    fn images_of_one_size_are_run_together_and_their_vectors_come_back_in_order() {
        let shape = Architecture { image: ImageShape::Patches(4), head: None, hidden: 1, ..clip_b32() };
        let sizes = [(32, 64), (32, 32), (32, 64)];
        let mut batch = PixelBatch::ragged(3);
        for (number, (rows, columns)) in sizes.into_iter().enumerate() {
            batch.push(&vec![number as u8; rows * columns * 3], rows, columns);
        }
        let mut out = [f32::NAN; 3];
        embed_by_size("test", &shape, ImageBatch::Pixels(&batch), &mut out, |pixels, (rows, columns), out| {
            assert_eq!(pixels.size(), Some((rows, columns)));
            assert_eq!(pixels.len(), columns / 32);
            for (image, out) in out.iter_mut().enumerate() {
                *out = f32::from(pixels.image(image)[0]);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(out, [0.0, 1.0, 2.0]);
    }
}
