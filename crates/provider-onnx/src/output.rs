//! Which output is the embedding, how it becomes one vector, and how wide that is.

use imbed_core::{
    Error, ErrorKind, Result,
    options::Pooling,
    readout::{Form, OUTPUTS, has_class_token, is_plausible_width, no_pooling, prefix_tokens, width_in_config},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    graph::{Element, Graph, TensorInfo, list},
    input::Layout,
    options::OnnxOptions,
};

const IMAGE_EMBEDS: &str = OUTPUTS[0];
const POOLER_OUTPUT: &str = OUTPUTS[1];
const LAST_HIDDEN_STATE: &str = OUTPUTS[2];

/// The output that is the embedding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) name: String,
    /// One of f32, f16, bf16 and f64.
    pub(crate) element: Element,
    pub(crate) form: Form,
    /// Numbers per vector.
    pub(crate) width: usize,
    /// What the option `pooling` may choose, the one in use first; empty where there is no choice.
    pub(crate) poolings: Vec<Pooling>,
}

/// Finds the output that is the embedding, without its form.
pub(crate) fn find<'a>(graph: &'a Graph, options: &OnnxOptions, pooling: Option<Pooling>) -> Result<&'a TensorInfo> {
    let named = |name: &str| graph.outputs.iter().find(|output| output.name == name);
    if let Some(name) = &options.output {
        return named(name).ok_or_else(|| {
            Error::new(ErrorKind::BadOption, format!("the graph has no output '{name}'"))
                .hint(format!("its outputs: {}", list(&graph.outputs)))
        });
    }
    let first: &[&str] = match (pooling, named(IMAGE_EMBEDS)) {
        // A pooling chooses among what one model offers: a projection leaves no choice.
        (_, Some(_)) | (None, _) => &[IMAGE_EMBEDS, POOLER_OUTPUT, LAST_HIDDEN_STATE],
        (Some(Pooling::Pooler), None) => &[POOLER_OUTPUT],
        (Some(Pooling::Cls | Pooling::Mean), None) => &[LAST_HIDDEN_STATE],
    };
    if let Some(output) = first.iter().find_map(|name| named(name)) {
        return Ok(output);
    }
    match graph.outputs.as_slice() {
        [only] => Ok(only),
        outputs => Err(Error::new(ErrorKind::Unsupported, "the graph does not say which output is the embedding")
            .hint(format!("say it: --option output=NAME; its outputs: {}", list(outputs)))),
    }
}

/// What `info` holds, how it becomes a vector of what width. `config` is the `config.json` beside the model.
pub(crate) fn describe(
    graph: &Graph,
    info: &TensorInfo,
    layout: Layout,
    options: &OnnxOptions,
    pooling: Option<Pooling>,
    config: Option<&Value>,
) -> Result<Output> {
    if !matches!(info.element, Element::F32 | Element::F16 | Element::Bf16 | Element::F64) {
        return Err(Error::new(ErrorKind::Unsupported, format!("the output {info} holds no floating-point numbers"))
            .hint(format!("name another one: --option output=NAME; its outputs: {}", list(&graph.outputs))));
    }
    let (form, axis, poolings) = form(graph, info, layout, options, pooling, config)?;
    let stated = info.shape.as_ref().and_then(|shape| shape.get(axis)?.fixed());
    let width = width(info, stated, options.embedding_width, config)?;
    Ok(Output { name: info.name.clone(), element: info.element, form, width, poolings })
}

/// The form of `info`, which axis is the vector's, and the poolings to choose from.
fn form(
    graph: &Graph,
    info: &TensorInfo,
    layout: Layout,
    options: &OnnxOptions,
    pooling: Option<Pooling>,
    config: Option<&Value>,
) -> Result<(Form, usize, Vec<Pooling>)> {
    let axes = info.shape.as_ref().map_or(2, Vec::len);
    let ones = |from: usize| info.shape.iter().flatten().skip(from).all(|axis| axis.fixed() == Some(1));
    // Only where the user named no output may a pooling choose another one.
    let beside = |name: &str| options.output.is_none() && graph.outputs.iter().any(|output| output.name == name);
    let vector = |axis| {
        let mut poolings = Vec::new();
        if info.name == POOLER_OUTPUT {
            poolings.push(Pooling::Pooler);
            if beside(LAST_HIDDEN_STATE) {
                poolings.extend([Pooling::Cls, Pooling::Mean]);
            }
        }
        Ok((Form::Vector, axis, poolings))
    };
    match axes {
        2 => vector(1),
        4 if ones(2) => vector(1),
        3 => {
            let mut poolings = vec![Pooling::Cls, Pooling::Mean];
            if beside(POOLER_OUTPUT) {
                poolings.push(Pooling::Pooler);
            }
            let used = match pooling {
                Some(pooling) => pooling,
                None if has_class_token(config) == Some(true) => Pooling::Cls,
                None => return Err(no_pooling(&info.to_string())),
            };
            let form = match used {
                Pooling::Cls => Form::Token(0),
                Pooling::Mean => Form::MeanAfter(prefix_tokens(&info.to_string(), options.prefix_tokens, config)?),
                Pooling::Pooler => return Err(no_pooler(info)),
            };
            poolings.retain(|pooling| *pooling != used);
            poolings.insert(0, used);
            Ok((form, 2, poolings))
        }
        4 => match pooling {
            Some(Pooling::Cls) => {
                Err(Error::new(ErrorKind::BadOption, format!("the output {info} is a map without a class token"))
                    .hint("use pooling=mean"))
            }
            Some(Pooling::Pooler) => Err(no_pooler(info)),
            Some(Pooling::Mean) => Ok(match layout {
                Layout::Nchw => (Form::MapChannelFirst, 1, vec![Pooling::Mean]),
                Layout::Nhwc => (Form::MapChannelLast, 3, vec![Pooling::Mean]),
            }),
            None => Err(Error::new(ErrorKind::Unsupported, format!("the output {info} is a map and not a vector"))
                .hint("use pooling=mean for the mean over its places, or name another output: --option output=NAME")),
        },
        _ => Err(Error::new(ErrorKind::Unsupported, format!("the output {info} is no vector, no tokens and no map"))
            .hint(format!("name another one: --option output=NAME; its outputs: {}", list(&graph.outputs)))),
    }
}

fn no_pooler(info: &TensorInfo) -> Error {
    Error::new(ErrorKind::BadOption, format!("the graph has no pooler_output, and '{}' is none", info.name))
        .hint("use --pooling cls or --pooling mean")
}

/// The graph's own width, the option's, or that of `config.json`.
fn width(info: &TensorInfo, stated: Option<usize>, asked: Option<usize>, config: Option<&Value>) -> Result<usize> {
    if let (Some(stated), Some(asked)) = (stated, asked)
        && stated != asked
    {
        let message = format!("embedding_width is {asked}, but the output is {info}");
        return Err(Error::new(ErrorKind::BadOption, message).hint("leave embedding_width away"));
    }
    let from_config = || width_in_config(info.name == IMAGE_EMBEDS, config);
    stated.or(asked).or_else(from_config).filter(|width| is_plausible_width(*width)).ok_or_else(|| {
        let message = format!("neither the output {info} nor config.json says how many numbers a vector has");
        Error::new(ErrorKind::Unsupported, message).hint("say it: --option embedding_width=N")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graph::tests::{graph, info};

    fn vector(name: &str) -> TensorInfo {
        info(name, Element::F32, &["N", "8"])
    }

    fn tokens(name: &str) -> TensorInfo {
        info(name, Element::F32, &["N", "17", "8"])
    }

    fn chosen(
        outputs: &[TensorInfo],
        pooling: Option<Pooling>,
        options: &OnnxOptions,
        config: &Value,
    ) -> Result<Output> {
        let graph = graph(&[], outputs, &[]);
        let info = find(&graph, options, pooling)?;
        describe(&graph, info, Layout::Nchw, options, pooling, Some(config))
    }

    fn usual(outputs: &[TensorInfo], pooling: Option<Pooling>, config: &Value) -> Result<Output> {
        chosen(outputs, pooling, &OnnxOptions::default(), config)
    }

    #[test]
    fn the_projection_comes_before_the_pooler_and_that_before_the_tokens() {
        let all = [tokens("last_hidden_state"), vector("pooler_output"), vector("image_embeds")];
        let vit = json!({ "model_type": "vit" });
        let names = |outputs: &[TensorInfo]| usual(outputs, None, &vit).unwrap().name;
        assert_eq!(names(&all), "image_embeds");
        assert_eq!(names(&all[..2]), "pooler_output");
        assert_eq!(names(&all[..1]), "last_hidden_state");
        assert_eq!(names(&[vector("features")]), "features");
    }

    #[test]
    fn several_outputs_without_a_known_name_are_asked_about() {
        let both = [vector("features"), vector("logits")];
        let error = usual(&both, None, &json!({})).unwrap_err();
        assert!(error.hint_text().unwrap().contains("features: f32 [N, 8]; logits"), "{error}");
        let named = |name: &str| OnnxOptions { output: Some(name.to_owned()), ..OnnxOptions::default() };
        assert_eq!(chosen(&both, None, &named("logits"), &json!({})).unwrap().name, "logits");
        assert_eq!(chosen(&both, None, &named("x"), &json!({})).unwrap_err().kind(), ErrorKind::BadOption);
    }

    #[test]
    fn a_pooling_chooses_the_output_and_the_token() {
        let both = [tokens("last_hidden_state"), vector("pooler_output")];
        let vit = json!({ "model_type": "vit" });
        let with = |pooling| usual(&both, pooling, &vit).unwrap();
        assert_eq!(with(None).poolings, [Pooling::Pooler, Pooling::Cls, Pooling::Mean]);
        assert_eq!(with(Some(Pooling::Pooler)).form, Form::Vector);
        assert_eq!(with(Some(Pooling::Cls)).form, Form::Token(0));
        assert_eq!(with(Some(Pooling::Mean)).form, Form::MeanAfter(1));
        assert_eq!(with(Some(Pooling::Mean)).poolings, [Pooling::Mean, Pooling::Cls, Pooling::Pooler]);
        assert!(usual(&[vector("image_embeds")], None, &vit).unwrap().poolings.is_empty());
    }

    #[test]
    fn the_mean_leaves_out_class_and_register_tokens_and_nothing_where_there_are_none() {
        let mean = |config: Value, options: &OnnxOptions| {
            chosen(&[tokens("last_hidden_state")], Some(Pooling::Mean), options, &config).map(|output| output.form)
        };
        let usual = OnnxOptions::default();
        let registers = json!({ "model_type": "dinov2_with_registers", "num_register_tokens": 4 });
        assert_eq!(mean(registers, &usual).unwrap(), Form::MeanAfter(5));
        assert_eq!(mean(json!({ "model_type": "swin" }), &usual).unwrap(), Form::MeanAfter(0));
        assert!(mean(json!({}), &usual).unwrap_err().hint_text().unwrap().contains("prefix_tokens"));
        let said = OnnxOptions { prefix_tokens: Some(2), ..OnnxOptions::default() };
        assert_eq!(mean(json!({}), &said).unwrap(), Form::MeanAfter(2));
    }

    #[test]
    fn tokens_without_a_known_class_token_are_never_pooled_by_guess() {
        for config in [json!({}), json!({ "model_type": "swin" }), json!({ "model_type": "new" })] {
            let error = usual(&[tokens("last_hidden_state")], None, &config).unwrap_err();
            assert!(error.hint_text().unwrap().contains("--pooling cls"), "{error}");
        }
    }

    #[test]
    fn a_map_is_averaged_over_its_places_when_asked() {
        let map = || [info("features", Element::F32, &["N", "8", "7", "7"])];
        let mean = usual(&map(), Some(Pooling::Mean), &json!({})).unwrap();
        assert_eq!((mean.form, mean.width), (Form::MapChannelFirst, 8));
        assert!(usual(&map(), None, &json!({})).unwrap_err().hint_text().unwrap().contains("pooling=mean"));
        assert_eq!(usual(&map(), Some(Pooling::Cls), &json!({})).unwrap_err().kind(), ErrorKind::BadOption);
        let point = info("pooler_output", Element::F32, &["N", "8", "1", "1"]);
        assert_eq!(usual(&[point], None, &json!({})).unwrap().form, Form::Vector);
    }

    #[test]
    fn a_width_that_the_graph_leaves_open_comes_from_the_option_or_the_config() {
        let open = |name: &str| [info(name, Element::F32, &["N", "?"])];
        let width = |name: &str, config: Value, asked: Option<usize>| {
            let options = OnnxOptions { embedding_width: asked, ..OnnxOptions::default() };
            chosen(&open(name), None, &options, &config).map(|output| output.width)
        };
        let clip = json!({ "projection_dim": 48, "vision_config": { "hidden_size": 64 } });
        assert_eq!(width("image_embeds", clip.clone(), None).unwrap(), 48);
        assert_eq!(width("pooler_output", clip.clone(), None).unwrap(), 64);
        assert_eq!(width("features", json!({}), Some(9)).unwrap(), 9);
        assert!(width("features", json!({}), None).unwrap_err().hint_text().unwrap().contains("embedding_width=N"));
        let wrong = OnnxOptions { embedding_width: Some(9), ..OnnxOptions::default() };
        assert_eq!(chosen(&[vector("y")], None, &wrong, &clip).unwrap_err().kind(), ErrorKind::BadOption);
    }

    #[test]
    fn whole_numbers_are_no_embedding() {
        let error = usual(&[info("y", Element::I64, &["N", "8"])], None, &json!({})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
