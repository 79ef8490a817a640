//! A loaded model: batches in, vectors out.

use std::{fmt::Debug, ops::Range};

use imbed_core::{BlockingImageEmbedder, Device, Error, ErrorKind, ImageBatch, PixelBatch, Result};
use ort::{
    session::SessionInputValue,
    value::{PrimitiveTensorElementType, TensorRef},
};

use crate::{
    input::ImageInput,
    output::Output,
    session::{LoadedGraph, failed},
    tensor::{Tables, lay_out},
};

/// A graph, how its input is written and how its output is read.
#[derive(Debug)]
pub(crate) struct OnnxEmbedder {
    pub(crate) graph: LoadedGraph,
    pub(crate) input: ImageInput,
    pub(crate) output: Output,
    pub(crate) tables: Tables,
    pub(crate) device: Device,
}

impl OnnxEmbedder {
    fn check(&self, pixels: &PixelBatch, out: &[f32]) -> Result<()> {
        for i in 0..if pixels.size().is_some() { pixels.len().min(1) } else { pixels.len() } {
            let (height, width) = pixels.image_size(i);
            let fits = |given: usize, wanted: Option<usize>| given > 0 && wanted.is_none_or(|wanted| wanted == given);
            if !fits(height, self.input.height) || !fits(width, self.input.width) {
                let side = |side: Option<usize>| side.map_or("any".to_owned(), |side| side.to_string());
                let (rows, columns) = (side(self.input.height), side(self.input.width));
                let message = format!("pixels of {height} x {width} for a graph that takes {rows} x {columns}");
                return Err(Error::new(ErrorKind::BadInput, message)
                    .hint("prepare the images with the Preprocess of the descriptor's input"));
            }
        }
        if out.len() != pixels.len() * self.output.width {
            let message = format!("room for {} numbers where {} x {} come", out.len(), pixels.len(), self.output.width);
            return Err(Error::new(ErrorKind::Dimensions, message));
        }
        Ok(())
    }

    /// Embeds the images `range`, which have one size and fit one call.
    fn call(&self, pixels: &PixelBatch, range: Range<usize>, out: &mut [f32]) -> Result<()> {
        let size = pixels.image_size(range.start);
        let part;
        let images = if range == (0..pixels.len()) {
            pixels.data()
        } else {
            part = pixels.slice(range);
            part.data()
        };
        match &self.tables {
            Tables::F32(tables) => self.call_as(images, size, tables, out),
            Tables::F16(tables) => self.call_as(images, size, tables, out),
            Tables::U8(tables) => self.call_as(images, size, tables, out),
        }
    }

    fn call_as<T>(&self, images: &[u8], size: (usize, usize), tables: &[[T; 256]; 3], out: &mut [f32]) -> Result<()>
    where
        T: Copy + Default + Debug + PrimitiveTensorElementType + 'static,
    {
        let ImageInput { layout, bgr, batch, .. } = self.input;
        let (height, width) = size;
        let room = batch.unwrap_or(out.len() / self.output.width);
        let tensor = lay_out(images, height * width, room, layout, bgr, tables);
        let view = TensorRef::from_array_view((layout.shape(room, height, width), tensor.as_slice()));
        let image = SessionInputValue::from(view.map_err(|e| failed(&e))?);
        let Output { name, form, width, .. } = &self.output;
        self.graph.run(image, |values, shape| form.read(name, values, shape, *width, out))
    }
}

impl BlockingImageEmbedder for OnnxEmbedder {
    fn width(&self) -> usize {
        self.output.width
    }

    fn device(&self) -> Device {
        self.device
    }

    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        let ImageBatch::Pixels(pixels) = batch else {
            return Err(Error::new(ErrorKind::BadInput, "the provider onnx reads pixels, not encoded images")
                .hint("prepare the images with the Preprocess of the descriptor's input"));
        };
        self.check(pixels, out)?;
        let width = self.output.width;
        for range in calls(pixels, self.input.batch) {
            let vectors = &mut out[range.start * width..range.end * width];
            self.call(pixels, range, vectors)?;
        }
        Ok(())
    }
}

/// The images of each call: neighbours of one size, and no more than the graph takes.
fn calls(pixels: &PixelBatch, most: Option<usize>) -> Vec<Range<usize>> {
    let mut calls: Vec<Range<usize>> = Vec::new();
    for i in 0..pixels.len() {
        match calls.last_mut() {
            Some(last)
                if most.is_none_or(|most| last.len() < most)
                    && pixels.image_size(last.start) == pixels.image_size(i) =>
            {
                last.end = i + 1;
            }
            _ => calls.push(i..i + 1),
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_neighbours_of_one_size_up_to_what_the_graph_takes() {
        let uniform = PixelBatch::from_vec(vec![0; 5 * 3], 1, 1).unwrap();
        assert_eq!(calls(&uniform, None), vec![0..5]);
        assert_eq!(calls(&uniform, Some(2)), [0..2, 2..4, 4..5]);
        let mut ragged = PixelBatch::ragged(4);
        for (height, width) in [(1, 2), (1, 2), (2, 1), (1, 2)] {
            ragged.push(&[0; 6], height, width);
        }
        assert_eq!(calls(&ragged, None), [0..2, 2..3, 3..4]);
        assert!(calls(&PixelBatch::ragged(0), None).is_empty());
    }
}
