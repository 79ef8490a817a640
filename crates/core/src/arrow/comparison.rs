//! Whether vectors of two columns may stand beside each other, and if not, why.

use serde_json::{Map, Value};

use super::Provenance;

/// Options whose effect stands in the recipe, in the width of the vectors or in their length, whichever way it came about.
const SHOWN_ELSEWHERE: &[&str] = &["normalize", "dimensions", "pooling", "image_size"];

/// Two columns of vectors, held against each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Why a vector of one means nothing beside a vector of the other; empty where they may be compared.
    pub reasons: Vec<String>,
    /// What to mind where they may be.
    pub cautions: Vec<String>,
}

impl Comparison {
    /// Holds two columns against each other: what made each, where that is recorded, and the numbers per vector.
    ///
    /// The model's name decides only where the weights of one are not known: the same files may have two names.
    pub fn new(a: (Option<&Provenance>, usize), b: (Option<&Provenance>, usize)) -> Self {
        let mut found = Self::default();
        if a.1 != b.1 {
            found.reasons.push(format!("the vectors have {} and {} numbers", a.1, b.1));
        }
        let (Some(a), Some(b)) = (a.0, b.0) else {
            found.reasons.push("it is not recorded what made each of them".to_owned());
            return found;
        };
        found.weights(a, b);
        found.recipes(a, b);
        found.options(a, b);
        if a.normalized != b.normalized {
            found.cautions.push("only one has vectors of unit length: compare by cosine".to_owned());
        }
        if a.provider != b.provider {
            found.cautions.push(format!(
                "the providers are {} and {}, whose arithmetic may differ in the last digits",
                a.provider, b.provider
            ));
        }
        found
    }

    /// Whether vectors of the two may be compared.
    pub fn comparable(&self) -> bool {
        self.reasons.is_empty()
    }

    fn weights(&mut self, a: &Provenance, b: &Provenance) {
        match (&a.weights, &b.weights) {
            (Some(x), Some(y)) if x != y => {
                self.reasons.push(format!("the weights differ: {} of {x}, {} of {y}", a.model, b.model));
            }
            (Some(_), Some(_)) => {}
            _ if (&a.provider, &a.model) != (&b.provider, &b.model) => {
                self.reasons.push(format!("the models differ: {} and {}", of(a), of(b)));
            }
            _ => {
                self.cautions
                    .push("the weights of one are not known: the model's name is all that was compared".into());
            }
        }
    }

    /// Names every leaf of the recipes that differs, as `input.resize.filter: bicubic and bilinear`.
    fn recipes(&mut self, a: &Provenance, b: &Provenance) {
        if a.provider != b.provider || a.recipe.is_empty() || b.recipe.is_empty() {
            // Recipes are in the words of their provider; only the common part can be held against another's.
            if let (Some(x), Some(y)) = (a.recipe.get("input"), b.recipe.get("input")) {
                differences("input", x, y, &mut self.reasons);
            }
            return;
        }
        differences("", &Value::Object(a.recipe.clone()), &Value::Object(b.recipe.clone()), &mut self.reasons);
    }

    fn options(&mut self, a: &Provenance, b: &Provenance) {
        let shown = |p: &Provenance, name: &str| !p.recipe.is_empty() && SHOWN_ELSEWHERE.contains(&name);
        for name in a.options.keys().chain(b.options.keys().filter(|name| !a.options.contains_key(*name))) {
            let value = |options: &Map<String, Value>| options.get(name).map_or("the default".to_owned(), plain);
            let (x, y) = (value(&a.options), value(&b.options));
            if x == y || (shown(a, name) && shown(b, name)) {
                continue;
            }
            match name.as_str() {
                "normalize" => {}
                "dtype" => self.cautions.push(format!("dtype is {x} and {y}: vectors differ by rounding")),
                _ => self.reasons.push(format!("{name} is {x} and {y}")),
            }
        }
    }
}

fn of(provenance: &Provenance) -> String {
    format!("{} of {}", provenance.model, provenance.provider)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Says each place below `path` where two values differ.
fn differences(path: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    if a == b {
        return;
    }
    let (Some(x), Some(y)) = (a.as_object(), b.as_object()) else {
        found.push(format!("{path} is {} and {}", plain(a), plain(b)));
        return;
    };
    for name in x.keys().chain(y.keys().filter(|name| !x.contains_key(*name))) {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let value = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
        differences(&below, &value(x), &value(y), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made() -> Provenance {
        let recipe = json!({ "input": { "resize": { "filter": "bicubic" }, "crop": 224 }, "model": { "heads": 12 } });
        Provenance {
            provider: "candle".into(),
            model: "./clip".into(),
            weights: Some("blake3:aa".into()),
            recipe: recipe.as_object().unwrap().clone(),
            ..Provenance::default()
        }
    }

    fn compare(change: impl FnOnce(&mut Provenance)) -> Comparison {
        let mut other = made();
        change(&mut other);
        Comparison::new((Some(&made()), 512), (Some(&other), 512))
    }

    #[test]
    fn the_same_weights_under_another_name_are_comparable() {
        let comparison = compare(|p| p.model = "/data/clip".into());
        assert_eq!(comparison, Comparison::default());
        assert!(comparison.comparable());
    }

    #[test]
    fn other_weights_a_recipe_or_an_option_are_reasons_and_are_named() {
        assert!(compare(|p| p.weights = Some("blake3:bb".into())).reasons[0].contains("blake3:bb"));
        let filter = compare(|p| p.recipe["input"]["resize"]["filter"] = json!("bilinear"));
        assert_eq!(filter.reasons, ["input.resize.filter is bicubic and bilinear"]);
        let heads = compare(|p| drop(p.recipe.insert("model".into(), json!({ "heads": 16 }))));
        assert_eq!(heads.reasons, ["model.heads is 12 and 16"]);
        let alpha = compare(|p| drop(p.options.insert("alpha".into(), json!("white"))));
        assert_eq!(alpha.reasons, ["alpha is the default and white"]);
    }

    #[test]
    fn length_and_rounding_are_cautions() {
        let comparison = compare(|p| {
            p.normalized = true;
            p.options.insert("normalize".into(), json!(true));
            p.options.insert("dtype".into(), json!("bf16"));
        });
        assert!(comparison.comparable());
        assert_eq!(comparison.cautions.len(), 2, "{comparison:?}");
    }

    #[test]
    fn an_option_that_says_what_the_recipe_says_anyway_is_no_difference() {
        assert_eq!(compare(|p| drop(p.options.insert("pooling".into(), json!("cls")))), Comparison::default());
    }

    #[test]
    fn without_weights_the_names_decide() {
        assert!(!compare(|p| (p.weights, p.model) = (None, "other".into())).comparable());
        let same = compare(|p| p.weights = None);
        assert!(same.comparable() && same.cautions.len() == 1, "{same:?}");
    }

    #[test]
    fn another_width_or_no_record_is_a_reason() {
        let (made, none) = (made(), None);
        assert!(!Comparison::new((Some(&made), 512), (Some(&made), 256)).comparable());
        assert!(!Comparison::new((Some(&made), 512), (none, 512)).comparable());
    }

    #[test]
    fn another_provider_is_held_against_the_preprocessing_only() {
        let torch = compare(|p| {
            p.provider = "torch".into();
            p.recipe.insert("model".into(), json!("its own words"));
        });
        assert!(torch.comparable() && torch.cautions.len() == 1, "{torch:?}");
    }
}
