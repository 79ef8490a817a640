//! Providers that run the same weights, held against each other and against the reference on the golden images.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

/// What the cosines of f32 vectors must reach after the mean is removed.
const LEAST: f64 = 0.9999;

/// Two sources of vectors for the same images and weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pair {
    family: String,
    images: usize,
    names: [String; 2],
    /// Both compute in f32, so that they have to agree.
    single: bool,
    /// The smallest cosine over the images.
    cosine: f64,
    /// The same after the second's mean is removed from both. Vectors of one model share a large part, which flatters.
    centred: f64,
}

struct Source {
    name: String,
    single: bool,
    vectors: Vec<Vec<f64>>,
}

/// Every pair of every family, the reference among them.
pub(super) fn compare(reports: &[Value]) -> Vec<Pair> {
    let mut families: BTreeMap<(String, String), Vec<Source>> = BTreeMap::new();
    for report in reports {
        for family in report["families"].as_array().into_iter().flatten() {
            let text = |key: &str| family[key].as_str().unwrap_or_default().to_owned();
            let sources = families.entry((text("family"), text("images"))).or_default();
            let name = report["subject"].as_str().unwrap_or_default().to_owned();
            sources.push(Source { name, single: text("dtype") == "f32", vectors: vectors(&family["vectors"]) });
            let reference = vectors(&family["reference"]);
            // Last, so that it is the second of its pairs. The same images have one reference.
            sources.retain(|s| s.name != "reference");
            sources.push(Source { name: "reference".to_owned(), single: true, vectors: reference });
        }
    }
    let mut pairs = Vec::new();
    for ((family, _), sources) in &families {
        for (i, a) in sources.iter().enumerate() {
            pairs.extend(sources[i + 1..].iter().map(|b| pair(family, a, b)));
        }
    }
    pairs
}

fn pair(family: &str, a: &Source, b: &Source) -> Pair {
    Pair {
        family: family.to_owned(),
        images: a.vectors.len(),
        names: [a.name.clone(), b.name.clone()],
        single: a.single && b.single,
        cosine: smallest_cosine(&a.vectors, &b.vectors, None),
        centred: smallest_cosine(&a.vectors, &b.vectors, Some(&mean(&b.vectors))),
    }
}

impl Pair {
    /// How the two differ, if they differ too much.
    pub(super) fn failure(&self) -> Option<String> {
        let [a, b] = &self.names;
        // Not `<`, which a NaN would pass.
        let agree = self.centred >= LEAST || !self.single;
        (!agree).then(|| {
            format!("{a} and {b} differ on {}: centred cosine {:.6}, under {LEAST}", self.family, self.centred)
        })
    }

    /// A row of a table.
    pub(super) fn markdown(&self) -> String {
        let (pair, kind) = (self.names.join(" / "), if self.single { "" } else { ", not both f32" });
        format!("| {} | {pair}{kind} | {} | {:.7} | {:.7} |\n", self.family, self.images, self.cosine, self.centred)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "family": self.family, "images": self.images, "pair": self.names, "both_f32": self.single,
            "smallest_cosine": self.cosine, "smallest_centred_cosine": self.centred,
        })
    }
}

/// One line a pair.
pub(super) fn table(pairs: &[Pair]) -> String {
    let mut table = format!("{:<22}{:<28}{:>7}{:>12}{:>12}\n", "family", "pair", "images", "cosine", "centred");
    for pair in pairs {
        let [a, b] = &pair.names;
        let verdict = match (pair.failure(), pair.single) {
            (Some(_), _) => "  FAILED",
            (None, true) => "",
            (None, false) => "  (not both f32)",
        };
        let names = format!("{a}, {b}");
        let numbers = format!("{:>7}{:>12.7}{:>12.7}", pair.images, pair.cosine, pair.centred);
        let _ = writeln!(table, "{:<22}{names:<28}{numbers}{verdict}", pair.family);
    }
    table
}

/// NaN where the two have not the same shape.
fn smallest_cosine(a: &[Vec<f64>], b: &[Vec<f64>], mean: Option<&[f64]>) -> f64 {
    if a.len() != b.len() || a.iter().zip(b).any(|(a, b)| a.len() != b.len()) {
        return f64::NAN;
    }
    let centred =
        |v: &[f64]| -> Vec<f64> { v.iter().enumerate().map(|(i, x)| x - mean.map_or(0.0, |mean| mean[i])).collect() };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let cosines = a.iter().zip(b).map(|(a, b)| {
        let (a, b) = (centred(a), centred(b));
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    });
    cosines.fold(1.0, |least, c| if c < least || c.is_nan() { c } else { least })
}

fn mean(vectors: &[Vec<f64>]) -> Vec<f64> {
    let width = vectors.first().map_or(0, Vec::len);
    (0..width).map(|i| vectors.iter().filter_map(|v| v.get(i)).sum::<f64>() / vectors.len() as f64).collect()
}

fn vectors(rows: &Value) -> Vec<Vec<f64>> {
    let numbers = |row: &Value| row.as_array().into_iter().flatten().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect();
    rows.as_array().into_iter().flatten().map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(subject: &str, images: &str, dtype: &str, vectors: &Value) -> Value {
        let reference = json!([[100.0, 1.0, 0.0], [100.0, 0.0, 1.0]]);
        json!({ "subject": subject, "families": [
            { "family": "clip", "images": images, "dtype": dtype, "vectors": vectors, "reference": reference },
        ]})
    }

    #[test]
    fn providers_are_compared_with_each_other_and_the_reference() {
        let vectors = json!([[100.0, 1.0, 0.0], [100.0, 0.0, 1.0]]);
        let pairs = compare(&[report("a", "x", "f32", &vectors), report("b", "x", "f32", &vectors)]);
        let names: Vec<String> = pairs.iter().map(|p| p.names.join(" ")).collect();
        assert_eq!(names, ["a b", "a reference", "b reference"]);
        assert!(pairs.iter().all(|p| p.failure().is_none()));
    }

    #[test]
    fn a_difference_that_a_plain_cosine_hides_is_found() {
        let swapped = json!([[100.0, 0.0, 1.0], [100.0, 1.0, 0.0]]);
        let pairs = compare(&[report("a", "x", "f32", &swapped)]);
        assert!(pairs[0].cosine > 0.9998, "{}", pairs[0].cosine);
        assert!(pairs[0].failure().unwrap().contains("a and reference differ on clip"));
        assert!(table(&pairs).contains("FAILED"));
    }

    #[test]
    fn other_number_types_are_shown_and_not_judged() {
        let swapped = json!([[100.0, 0.0, 1.0], [100.0, 1.0, 0.0]]);
        let pairs = compare(&[report("a", "x", "bf16", &swapped)]);
        assert!(pairs[0].failure().is_none());
    }

    #[test]
    fn vectors_of_other_images_are_not_compared_and_another_width_is_a_failure() {
        let vectors = json!([[100.0, 1.0, 0.0], [100.0, 0.0, 1.0]]);
        let pairs = compare(&[report("a", "x", "f32", &vectors), report("b", "y", "f32", &vectors)]);
        assert_eq!(pairs.len(), 2);
        let narrow = json!([[100.0, 1.0], [100.0, 0.0]]);
        assert!(compare(&[report("a", "x", "f32", &narrow)])[0].failure().is_some());
    }
}
