//! From what the graph gave for a batch to one vector per image.

use imbed_core::{Error, ErrorKind, Result};

use crate::output::{Form, Output};

/// Writes the vectors of the first images of `values`, which has this shape, into `out`, `[images, width]`.
pub(crate) fn pool(values: &[f32], shape: &[usize], output: &Output, out: &mut [f32]) -> Result<()> {
    let width = output.width;
    let images = out.len() / width;
    let of_image = shape.get(1..).unwrap_or_default();
    let per_image: usize = of_image.iter().product();
    let given = shape.first().copied().unwrap_or_default();
    if given < images || given * per_image != values.len() || !fits(of_image, output) {
        let message =
            format!("the output '{}' came with the shape {shape:?}, which is no {}", output.name, what(output));
        return Err(Error::new(ErrorKind::Dimensions, message).hint(
            "the graph or config.json states another width or form; see --option embedding_width and --pooling",
        ));
    }
    for (vector, image) in out.chunks_exact_mut(width).zip(values.chunks_exact(per_image)) {
        match output.form {
            Form::Vector => vector.copy_from_slice(image),
            Form::Token(token) => vector.copy_from_slice(&image[token * width..][..width]),
            Form::MeanAfter(first) => mean_rows(&image[first * width..], vector),
            Form::MapChannelLast => mean_rows(image, vector),
            Form::MapChannelFirst => mean_planes(image, vector),
        }
    }
    Ok(())
}

/// Whether one image's part of the output has the form that was announced.
fn fits(of_image: &[usize], output: &Output) -> bool {
    let width = output.width;
    match (output.form, of_image) {
        (Form::Vector, [first, rest @ ..]) => *first == width && rest.iter().all(|length| *length == 1),
        (Form::Token(first) | Form::MeanAfter(first), [tokens, last]) => *tokens > first && *last == width,
        (Form::MapChannelFirst, [channels, rows, columns]) | (Form::MapChannelLast, [rows, columns, channels]) => {
            *channels == width && rows * columns > 0
        }
        _ => false,
    }
}

fn what(output: &Output) -> String {
    let width = output.width;
    match output.form {
        Form::Vector => format!("batch of vectors of {width} numbers"),
        Form::Token(_) => format!("batch of tokens of {width} numbers"),
        Form::MeanAfter(first) => format!("batch of more than {first} tokens of {width} numbers"),
        Form::MapChannelFirst | Form::MapChannelLast => format!("batch of maps of {width} channels"),
    }
}

/// The mean of the rows, summed in f64.
fn mean_rows(rows: &[f32], mean: &mut [f32]) {
    let width = mean.len();
    let count = (rows.len() / width) as f64;
    for (column, mean) in mean.iter_mut().enumerate() {
        let sum: f64 = rows.iter().skip(column).step_by(width).map(|x| f64::from(*x)).sum();
        *mean = (sum / count) as f32;
    }
}

/// The mean of each plane, summed in f64.
fn mean_planes(planes: &[f32], means: &mut [f32]) {
    let places = planes.len() / means.len();
    for (plane, mean) in planes.chunks_exact(places).zip(means) {
        *mean = (plane.iter().map(|x| f64::from(*x)).sum::<f64>() / places as f64) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Element;

    fn output(form: Form) -> Output {
        Output { name: "y".into(), element: Element::F32, form, width: 2, poolings: vec![] }
    }

    fn pooled(form: Form, shape: &[usize], images: usize) -> Result<Vec<f32>> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
        let mut out = vec![f32::NAN; images * 2];
        pool(&values, shape, &output(form), &mut out).map(|()| out)
    }

    #[test]
    fn each_form_gives_its_vector() {
        assert_eq!(pooled(Form::Vector, &[2, 2], 2).unwrap(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(pooled(Form::Vector, &[1, 2, 1, 1], 1).unwrap(), [0.0, 1.0]);
        assert_eq!(pooled(Form::Token(0), &[2, 3, 2], 2).unwrap(), [0.0, 1.0, 6.0, 7.0]);
        assert_eq!(pooled(Form::MeanAfter(1), &[1, 3, 2], 1).unwrap(), [3.0, 4.0]);
        assert_eq!(pooled(Form::MeanAfter(0), &[1, 3, 2], 1).unwrap(), [2.0, 3.0]);
        assert_eq!(pooled(Form::MapChannelFirst, &[1, 2, 2, 2], 1).unwrap(), [1.5, 5.5]);
        assert_eq!(pooled(Form::MapChannelLast, &[1, 2, 2, 2], 1).unwrap(), [3.0, 4.0]);
    }

    #[test]
    fn images_that_only_fill_the_batch_are_left_out() {
        assert_eq!(pooled(Form::Vector, &[4, 2], 1).unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn an_output_of_another_shape_than_announced_is_refused() {
        for (form, shape) in [
            (Form::Vector, &[2, 3][..]),
            (Form::Vector, &[1, 2]),
            (Form::Vector, &[2, 2, 2]),
            (Form::Vector, &[]),
            (Form::Token(0), &[2, 0, 2]),
            (Form::Token(0), &[2, 2]),
            (Form::MeanAfter(3), &[2, 3, 2]),
            (Form::MapChannelFirst, &[2, 2, 0, 3]),
            (Form::MapChannelLast, &[2, 3, 3, 4]),
        ] {
            assert_eq!(pooled(form, shape, 2).unwrap_err().kind(), ErrorKind::Dimensions, "{form:?} {shape:?}");
        }
    }
}
