//! Which input takes the image, and in what form; and what the other inputs are given.

use imbed_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::{
    graph::{Axis, Element, Graph, TensorInfo, list},
    options::OnnxOptions,
};

/// Channels of an image.
const RGB: usize = 3;

/// The order of an image tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layout {
    /// Image, channel, row, column.
    Nchw,
    /// Image, row, column, channel.
    Nhwc,
}

impl Layout {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "nchw" => Some(Self::Nchw),
            "nhwc" => Some(Self::Nhwc),
            _ => None,
        }
    }

    /// Where rows and columns stand among the four axes.
    pub(crate) fn spatial(self) -> [usize; 2] {
        match self {
            Self::Nchw => [2, 3],
            Self::Nhwc => [1, 2],
        }
    }

    fn channel(self) -> usize {
        match self {
            Self::Nchw => 1,
            Self::Nhwc => 3,
        }
    }

    /// The four lengths in this order.
    pub(crate) fn shape(self, images: usize, height: usize, width: usize) -> [usize; 4] {
        match self {
            Self::Nchw => [images, RGB, height, width],
            Self::Nhwc => [images, height, width, RGB],
        }
    }
}

/// The input that takes the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageInput {
    pub(crate) name: String,
    /// One of f32, f16 and u8.
    pub(crate) element: Element,
    pub(crate) layout: Layout,
    /// Blue comes first.
    pub(crate) bgr: bool,
    /// Images of every call, where the graph fixes it.
    pub(crate) batch: Option<usize>,
    /// Rows, where the graph fixes them.
    pub(crate) height: Option<usize>,
    /// Columns, where the graph fixes them.
    pub(crate) width: Option<usize>,
}

/// An input that the embedding does not depend on, and that ONNX Runtime wants to be given all the same: the texts of a
/// model of images and texts. It gets one token, or what its fixed shape holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filler {
    pub(crate) name: String,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
}

impl Filler {
    /// Whether it takes a sensible amount of memory.
    pub(crate) fn is_plausible(&self) -> bool {
        let numbers = self.shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
        numbers.is_some_and(|numbers| numbers <= 1 << 24)
    }
}

/// Finds the input for the image on the way to the embedding `output`, and the fillers of the others.
pub(crate) fn choose(graph: &Graph, output: &str, options: &OnnxOptions) -> Result<(ImageInput, Vec<Filler>)> {
    let needed = graph.needed_for(output);
    let info = match &options.input {
        Some(name) => graph.inputs.iter().find(|input| input.name == *name).ok_or_else(|| {
            Error::new(ErrorKind::BadOption, format!("the graph has no input '{name}'"))
                .hint(format!("its inputs: {}", list(&graph.inputs)))
        })?,
        None => find(graph, &needed, output)?,
    };
    if !needed.contains(&info) {
        let message = format!("the output '{output}' does not depend on the input '{}'", info.name);
        return Err(Error::new(ErrorKind::BadOption, message).hint(format!(
            "inputs: {}; outputs: {}",
            list(&graph.inputs),
            list(&graph.outputs)
        )));
    }
    let others: Vec<TensorInfo> = needed.into_iter().filter(|input| *input != info).cloned().collect();
    if !others.is_empty() {
        let message = format!("the output '{output}' depends on more than an image: {}", list(&others));
        return Err(Error::new(ErrorKind::Unsupported, message)
            .hint("name another output, or export the part of the model for images alone (vision_model.onnx)"));
    }
    let fillers = graph.inputs.iter().filter(|input| *input != info).map(filler).collect::<Result<_>>()?;
    Ok((image_input(info, options)?, fillers))
}

/// The only input among `needed` that can take images.
fn find<'a>(graph: &Graph, needed: &[&'a TensorInfo], output: &str) -> Result<&'a TensorInfo> {
    let takes_images = |input: &&&TensorInfo| {
        input.shape.as_ref().is_none_or(|shape| shape.len() == 4)
            && matches!(input.element, Element::F32 | Element::F16 | Element::U8)
    };
    let found: Vec<&TensorInfo> = needed.iter().filter(takes_images).copied().collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Error::new(
            ErrorKind::Unsupported,
            format!("nothing on the way to the output '{output}' takes a batch of images (four axes; f32, f16 or u8)"),
        )
        .hint(format!("the graph's inputs: {}", list(&graph.inputs)))),
        _ => {
            let names: Vec<&str> = found.iter().map(|input| input.name.as_str()).collect();
            Err(Error::new(ErrorKind::Unsupported, format!("several inputs take images: {}", names.join(", ")))
                .hint("say which one is the image: --option input=NAME"))
        }
    }
}

fn image_input(info: &TensorInfo, options: &OnnxOptions) -> Result<ImageInput> {
    let unsupported = |why: &str| Error::new(ErrorKind::Unsupported, format!("the input {info} {why}"));
    if !matches!(info.element, Element::F32 | Element::F16 | Element::U8) {
        return Err(unsupported("is none of f32, f16 and u8").hint("export the model with one of these as its input"));
    }
    let any = || vec![Axis::Any(String::new()); 4];
    let shape = info.shape.clone().unwrap_or_else(any);
    if shape.len() != 4 {
        return Err(unsupported("has not the four axes of a batch of images"));
    }
    let layout = match options.layout {
        Some(layout) => layout,
        None => layout(info, &shape).ok_or_else(|| {
            unsupported("does not say which axis is the channel").hint("say it: --option layout=nchw or layout=nhwc")
        })?,
    };
    if let Some(channels) = shape[layout.channel()].fixed()
        && channels != RGB
    {
        let why = format!("takes {channels} channels and not red, green and blue");
        return Err(unsupported(&why).hint("if the axes are in another order, say it: --option layout=nchw or nhwc"));
    }
    let [rows, columns] = layout.spatial();
    Ok(ImageInput {
        name: info.name.clone(),
        element: info.element,
        layout,
        bgr: options.bgr,
        batch: shape[0].fixed(),
        height: shape[rows].fixed(),
        width: shape[columns].fixed(),
    })
}

/// The order of the axes, as far as a length of 3, an axis's name or transformers' name for pixels tells it.
fn layout(info: &TensorInfo, shape: &[Axis]) -> Option<Layout> {
    let both = [Layout::Nchw, Layout::Nhwc];
    let three = |layout: &Layout| shape[layout.channel()].fixed() == Some(RGB);
    let named = |layout: &Layout| matches!(&shape[layout.channel()], Axis::Any(name) if name.to_ascii_lowercase().contains("channel"));
    let one = |is: &dyn Fn(&Layout) -> bool| match both.map(|layout| is(&layout)) {
        [true, false] => Some(Layout::Nchw),
        [false, true] => Some(Layout::Nhwc),
        _ => None,
    };
    one(&three).or_else(|| one(&named)).or_else(|| {
        // transformers has the channel first wherever it says pixel_values.
        let free = shape[1].fixed().is_none();
        (info.name == "pixel_values" && free).then_some(Layout::Nchw)
    })
}

fn filler(info: &TensorInfo) -> Result<Filler> {
    let shape = info.shape.as_deref().unwrap_or_default();
    let shape: Vec<usize> = shape.iter().map(|axis| axis.fixed().unwrap_or(1)).collect();
    let filler = Filler { name: info.name.clone(), element: info.element, shape };
    if !filler.is_plausible()
        || !matches!(info.element, Element::I64 | Element::I32 | Element::F32 | Element::F16 | Element::Bool)
    {
        return Err(Error::new(ErrorKind::Unsupported, format!("the graph wants a further input, {info}"))
            .hint("export the part of the model for images alone (vision_model.onnx)"));
    }
    Ok(filler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::{graph, info};

    fn pixels(axes: &[&str]) -> TensorInfo {
        info("x", Element::F32, axes)
    }

    fn vector() -> TensorInfo {
        info("y", Element::F32, &["N", "8"])
    }

    fn chosen(inputs: &[TensorInfo], options: &OnnxOptions) -> Result<ImageInput> {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        choose(&graph(inputs, &[vector()], &[("y", &names)]), "y", options).map(|(input, _)| input)
    }

    fn only(input: TensorInfo) -> Result<ImageInput> {
        chosen(&[input], &OnnxOptions::default())
    }

    #[test]
    fn layout_batch_and_size_are_read_from_the_graph() {
        let nchw = only(pixels(&["N", "3", "224", "160"])).unwrap();
        assert_eq!((nchw.layout, nchw.batch), (Layout::Nchw, None));
        assert_eq!((nchw.height, nchw.width), (Some(224), Some(160)));
        let nhwc = only(pixels(&["4", "h", "w", "3"])).unwrap();
        assert_eq!((nhwc.layout, nhwc.batch), (Layout::Nhwc, Some(4)));
        assert_eq!((nhwc.height, nhwc.width), (None, None));
    }

    #[test]
    fn an_axis_that_is_named_for_the_channel_or_transformers_name_for_pixels_tells_the_layout() {
        assert_eq!(only(pixels(&["n", "num_channels", "h", "w"])).unwrap().layout, Layout::Nchw);
        assert_eq!(only(pixels(&["n", "h", "w", "channels"])).unwrap().layout, Layout::Nhwc);
        assert_eq!(only(info("pixel_values", Element::F32, &["a", "b", "c", "d"])).unwrap().layout, Layout::Nchw);
    }

    #[test]
    fn a_layout_that_nothing_tells_is_asked_for() {
        let unknown = || pixels(&["a", "b", "c", "d"]);
        let error = only(unknown()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint_text().unwrap().contains("layout=nchw"), "{error}");
        let told = OnnxOptions { layout: Some(Layout::Nhwc), ..OnnxOptions::default() };
        assert_eq!(chosen(&[unknown()], &told).unwrap().layout, Layout::Nhwc);
    }

    #[test]
    fn what_is_no_batch_of_rgb_images_is_refused() {
        for input in [
            pixels(&["n", "1", "28", "28"]),
            pixels(&["n", "3"]),
            info("x", Element::I64, &["n", "3", "8", "8"]),
            info("pixel_values", Element::F32, &["n", "1", "h", "w"]),
        ] {
            assert_eq!(only(input.clone()).unwrap_err().kind(), ErrorKind::Unsupported, "{input}");
        }
    }

    #[test]
    fn an_input_that_the_output_does_not_depend_on_is_filled() {
        let ids = info("input_ids", Element::I64, &["texts", "77"]);
        let graph = graph(&[ids, pixels(&["N", "3", "8", "8"])], &[vector()], &[("y", &["x"])]);
        let (input, fillers) = choose(&graph, "y", &OnnxOptions::default()).unwrap();
        assert_eq!(input.name, "x");
        assert_eq!(fillers, [Filler { name: "input_ids".into(), element: Element::I64, shape: vec![1, 77] }]);
        let named = OnnxOptions { input: Some("input_ids".into()), ..OnnxOptions::default() };
        assert!(choose(&graph, "y", &named).unwrap_err().message().contains("does not depend"));
    }

    #[test]
    fn an_output_that_depends_on_more_than_the_image_is_refused() {
        let inputs = [pixels(&["N", "3", "8", "8"]), info("input_ids", Element::I64, &["N", "L"])];
        let error = chosen(&inputs, &OnnxOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("input_ids"), "{error}");
    }

    #[test]
    fn of_several_images_the_user_says_which() {
        let inputs = [pixels(&["N", "3", "8", "8"]), info("mask", Element::F32, &["N", "3", "8", "8"])];
        let error = chosen(&inputs, &OnnxOptions::default()).unwrap_err();
        assert!(error.hint_text().unwrap().contains("input=NAME"), "{error}");
        let named = OnnxOptions { input: Some("nobody".into()), ..OnnxOptions::default() };
        assert!(chosen(&inputs, &named).unwrap_err().hint_text().unwrap().contains("mask"));
    }
}
