//! From what a program gives to one vector per image.

use imbed_core::{
    Error, ErrorKind, Result,
    options::Pooling,
    readout::{Form, OUTPUTS, has_class_token, no_pooling, prefix_tokens},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{IValue, Tensor};

/// How the embedding is read out of a program's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Readout {
    /// Numbers per vector.
    pub(crate) width: usize,
    /// What the user chose.
    pub(crate) pooling: Option<Pooling>,
    /// Whether the first token stands for the image, where that is known.
    pub(crate) class_token: Option<bool>,
    /// Tokens before those of the patches, where that is known.
    pub(crate) prefix_tokens: Option<usize>,
}

impl Readout {
    /// With what `config`, a `config.json`, tells.
    pub(crate) fn new(width: usize, pooling: Option<Pooling>, prefix: Option<usize>, config: Option<&Value>) -> Self {
        let prefix_tokens = prefix_tokens("", prefix, config).ok();
        Self { width, pooling, class_token: has_class_token(config), prefix_tokens }
    }

    /// What can be chosen, the usual way first. Where no config says that the program gives tokens, its first run tells, and
    /// until then there is only what was chosen.
    pub(crate) fn poolings(&self) -> Vec<Pooling> {
        let mean = self.prefix_tokens.map(|_| Pooling::Mean);
        match self.class_token {
            Some(true) => [Pooling::Cls].into_iter().chain(mean).collect(),
            Some(false) => mean.into_iter().collect(),
            None => self.pooling.into_iter().collect(),
        }
    }

    /// Refuses a pooling that the program cannot have.
    pub(crate) fn check(&self) -> Result<()> {
        match self.pooling {
            Some(Pooling::Pooler) => {
                Err(Error::new(ErrorKind::BadOption, "pooling 'pooler' cannot be had from a TorchScript program")
                    .hint("what a pooler made is an output of its own: --option output=pooler_output, and no pooling"))
            }
            Some(pooling) if !self.poolings().contains(&pooling) => Err(Error::new(
                ErrorKind::BadOption,
                format!("pooling '{pooling}' cannot be had from this model's tokens"),
            )
            .hint("see --option prefix_tokens for the mean of the patches, or leave pooling away")),
            _ => Ok(()),
        }
    }

    /// Writes one vector per image of `values`, which has this shape, into `out`.
    pub(crate) fn read(&self, values: &[f32], shape: &[usize], out: &mut [f32]) -> Result<()> {
        self.form(shape)?.read("of the program", values, shape, self.width, out)
    }

    fn form(&self, shape: &[usize]) -> Result<Form> {
        let shown = format!("{shape:?} of the program");
        let ones = shape.iter().skip(2).all(|length| *length == 1);
        match (shape.len(), self.pooling) {
            (2, None) => Ok(Form::Vector),
            (4, None) if ones => Ok(Form::Vector),
            (3, Some(Pooling::Cls)) => Ok(Form::Token(0)),
            (3, None) if self.class_token == Some(true) => Ok(Form::Token(0)),
            (3, Some(Pooling::Mean)) => prefix_tokens(&shown, self.prefix_tokens, None).map(Form::MeanAfter),
            (3, None) => Err(no_pooling(&shown)),
            (4, Some(Pooling::Mean)) => Ok(Form::MapChannelFirst),
            (4, None) => {
                Err(Error::new(ErrorKind::Unsupported, format!("the output {shown} is a map and not a vector"))
                    .hint("use pooling=mean for the mean over its places"))
            }
            (_, Some(pooling)) => {
                Err(Error::new(ErrorKind::BadOption, format!("the output {shown} has no pooling '{pooling}'"))
                    .hint("leave pooling away for a vector; tokens have cls and mean, a map has mean"))
            }
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("the output {shown} is no vector, no tokens and no map"),
            )
            .hint("name another output: --option output=NAME")),
        }
    }
}

/// The tensor that `output` names among those that a program gave, or the one that needs no name.
pub(super) fn chosen(given: IValue, output: Option<&str>) -> Result<Tensor> {
    let outputs = named(given, "");
    let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
    let listed = names.join(", ");
    let known = || OUTPUTS.iter().find_map(|known| names.iter().position(|name| name == known));
    let place = match output {
        Some(asked) => Some(names.iter().position(|name| *name == asked).ok_or_else(|| {
            Error::new(ErrorKind::BadOption, format!("the program has no output '{asked}'")).hint(if names == [""] {
                "it has one without a name: leave output away".to_owned()
            } else {
                format!("its outputs: {listed}")
            })
        })?),
        None if outputs.len() == 1 => Some(0),
        None => known(),
    };
    match place.and_then(|place| outputs.into_iter().nth(place)) {
        Some((_, tensor)) => Ok(tensor),
        None if listed.is_empty() => Err(Error::new(ErrorKind::Unsupported, "the program gives no tensor")
            .hint("trace a model that gives its embedding")),
        None => Err(Error::new(ErrorKind::Unsupported, "the program does not say which output is the embedding")
            .hint(format!("say it: --option output=NAME; its outputs: {listed}"))),
    }
}

/// Every tensor in `value`, by its keys and places: `0` and `1` of a tuple, `pooler_output` of a table, `0.1` within.
fn named(value: IValue, name: &str) -> Vec<(String, Tensor)> {
    let below = |part: String| if name.is_empty() { part } else { format!("{name}.{part}") };
    match value {
        IValue::Tensor(tensor) => vec![(name.to_owned(), tensor)],
        IValue::TensorList(tensors) => {
            tensors.into_iter().enumerate().map(|(place, tensor)| (below(place.to_string()), tensor)).collect()
        }
        IValue::Tuple(values) | IValue::GenericList(values) => {
            let parts = values.into_iter().enumerate();
            parts.flat_map(|(place, value)| named(value, &below(place.to_string()))).collect()
        }
        IValue::GenericDict(pairs) => {
            let parts = pairs.into_iter().filter_map(|(key, value)| match key {
                IValue::String(key) => Some((key, value)),
                IValue::Int(key) => Some((key.to_string(), value)),
                _ => None,
            });
            parts.flat_map(|(key, value)| named(value, &below(key))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_config_tells_can_be_chosen_and_nothing_else() {
        let vit = serde_json::json!({"model_type": "vit", "hidden_size": 2});
        let of = |pooling| Readout::new(2, pooling, None, Some(&vit));
        assert_eq!(of(None).poolings(), [Pooling::Cls, Pooling::Mean]);
        assert!(of(Some(Pooling::Mean)).check().is_ok());
        assert_eq!(of(Some(Pooling::Pooler)).check().unwrap_err().kind(), ErrorKind::BadOption);
        assert_eq!(readout(Some(Pooling::Cls)).poolings(), [Pooling::Cls]);
        assert!(readout(Some(Pooling::Cls)).check().is_ok() && readout(None).poolings().is_empty());
    }

    fn readout(pooling: Option<Pooling>) -> Readout {
        Readout { width: 2, pooling, class_token: None, prefix_tokens: None }
    }

    fn tensor(value: f32) -> IValue {
        IValue::Tensor(Tensor::from_slice(&[value]))
    }

    fn value(given: IValue, output: Option<&str>) -> Result<f64> {
        chosen(given, output).map(|tensor| tensor.double_value(&[0]))
    }

    fn table(names: &[&str]) -> IValue {
        let pairs = names.iter().enumerate();
        IValue::GenericDict(pairs.map(|(i, name)| (IValue::String((*name).to_owned()), tensor(i as f32))).collect())
    }

    #[test]
    fn the_only_output_and_those_of_known_names_need_no_name() {
        assert_eq!(value(tensor(3.0), None).unwrap(), 3.0);
        assert_eq!(value(IValue::Tuple(vec![tensor(4.0)]), None).unwrap(), 4.0);
        assert_eq!(value(table(&["last_hidden_state", "pooler_output", "image_embeds"]), None).unwrap(), 2.0);
        assert_eq!(value(table(&["logits"]), None).unwrap(), 0.0);
    }

    #[test]
    fn several_outputs_are_asked_about_and_named_by_key_or_place() {
        let tuple = || IValue::Tuple(vec![tensor(5.0), IValue::Tuple(vec![tensor(6.0), IValue::None])]);
        let error = value(tuple(), None).unwrap_err();
        assert!(error.hint_text().unwrap().ends_with("its outputs: 0, 1.0"), "{error}");
        assert_eq!(value(tuple(), Some("1.0")).unwrap(), 6.0);
        assert_eq!(value(table(&["a", "b"]), Some("b")).unwrap(), 1.0);
        let unknown = value(table(&["a", "b"]), Some("c")).unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::BadOption);
        assert!(unknown.hint_text().unwrap().contains("a, b"), "{unknown}");
        assert!(value(IValue::None, None).unwrap_err().message().contains("no tensor"));
    }

    #[test]
    fn a_shape_becomes_a_vector_as_it_says_or_as_the_user_says() {
        let form = |shape: &[usize], pooling| readout(pooling).form(shape).map_err(|e| e.kind());
        assert_eq!(form(&[1, 2], None), Ok(Form::Vector));
        assert_eq!(form(&[1, 2, 1, 1], None), Ok(Form::Vector));
        assert_eq!(form(&[1, 3, 2], Some(Pooling::Cls)), Ok(Form::Token(0)));
        assert_eq!(form(&[1, 2, 3, 3], Some(Pooling::Mean)), Ok(Form::MapChannelFirst));
        assert_eq!(form(&[1, 3, 2], None), Err(ErrorKind::Unsupported));
        assert_eq!(form(&[1, 3, 2], Some(Pooling::Mean)), Err(ErrorKind::Unsupported), "nobody says what stands first");
        assert_eq!(form(&[1, 2], Some(Pooling::Mean)), Err(ErrorKind::BadOption));
        assert_eq!(form(&[1, 2, 3, 3], None), Err(ErrorKind::Unsupported));
        assert_eq!(form(&[2], None), Err(ErrorKind::Unsupported));
        let vit = serde_json::json!({ "model_type": "vit" });
        let known = Readout::new(2, None, None, Some(&vit));
        assert_eq!(known.form(&[1, 3, 2]).unwrap(), Form::Token(0));
        assert_eq!(Readout { pooling: Some(Pooling::Mean), ..known }.form(&[1, 3, 2]).unwrap(), Form::MeanAfter(1));
    }
}
