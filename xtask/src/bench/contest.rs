//! Rounds in which everybody has a turn, so that a neighbour's load and a warm processor hit all alike.

use std::time::Instant;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{
    contestant::{Contestant, Course},
    machine,
    numbers::Samples,
    process::{self, Measured},
    vectors::Vectors,
};

/// Images of the warm-up, whose vectors are held against each other.
const WARM_UP: usize = 128;
/// For how long a model alone, and all but the model, is run in a round.
const SECONDS: usize = 4;
const CEILINGS: [&str; 3] = ["f32", "bf16", "int8"];

/// What one contestant gave.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) who: Contestant,
    /// Seconds of the process that embeds all photos.
    pub(crate) whole: Samples,
    /// Seconds of the process that embeds one.
    pub(crate) one: Samples,
    /// MiB of the process that embeds all.
    pub(crate) peak: Samples,
    /// Milliseconds an image of the model alone.
    pub(crate) model: Samples,
    pub(crate) vectors: Option<Vectors>,
    versions: Map<String, Value>,
}

impl Figures {
    fn new(who: Contestant) -> Self {
        let samples = Samples::default;
        let (whole, one, peak, model) = (samples(), samples(), samples(), samples());
        Self { who, whole, one, peak, model, vectors: None, versions: Map::new() }
    }

    /// Images a second, start and end of the process included.
    pub(crate) fn speed(&self, images: usize) -> Samples {
        self.whole.0.iter().map(|seconds| images as f64 / seconds).collect()
    }

    /// Images a second without what the first takes.
    pub(crate) fn pace(&self, images: usize) -> Samples {
        let pairs = self.whole.0.iter().zip(&self.one.0);
        pairs.map(|(whole, one)| (images - 1) as f64 / (whole - one).max(f64::MIN_POSITIVE)).collect()
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.who.shown(), "dtype": self.who.dtype, "imbed": self.who.is_imbed(), "versions": self.versions,
            "seconds": self.whole.to_json(), "seconds_for_one_image": self.one.to_json(),
            "peak_mib": self.peak.to_json(), "model_milliseconds_per_image": self.model.to_json(),
        })
    }
}

/// What all rounds over one model gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) images: usize,
    /// Images that a model alone is given at once.
    pub(crate) batch: usize,
    pub(crate) on_gpu: bool,
    /// imbed first.
    pub(crate) figures: Vec<Figures>,
    /// Who could not take part, and why.
    pub(crate) failures: Vec<(String, String)>,
    /// Images a second of all but the model.
    pub(crate) prepare: Samples,
    /// Thousand million operations a second of all cores, for f32, bf16 and int8.
    pub(crate) ceilings: [Samples; 3],
    /// Multiply-adds of an image.
    pub(crate) macs: Option<f64>,
}

impl Outcome {
    /// The ceiling of a number type.
    pub(crate) fn ceiling(&self, dtype: &str) -> Option<&Samples> {
        let i = CEILINGS.iter().position(|name| *name == dtype)?;
        Some(&self.ceilings[i])
    }

    /// Versions of all that took part, by name.
    pub(crate) fn versions(&self) -> Map<String, Value> {
        self.figures.iter().flat_map(|f| f.versions.clone()).collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        let ceilings: Map<String, Value> =
            CEILINGS.iter().zip(&self.ceilings).map(|(name, c)| ((*name).to_owned(), c.to_json())).collect();
        json!({
            "images": self.images, "macs_per_image": self.macs, "batch_of_the_model_alone": self.batch,
            "prepare_images_per_second": self.prepare.to_json(), "ceilings_gops": ceilings,
            "contestants": self.figures.iter().map(Figures::to_json).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect::<Vec<_>>(),
        })
    }
}

/// A warm-up, in which whoever fails is left out, and then the rounds, each of which is given to `keep` with those before it.
pub(crate) fn hold(
    course: &Course<'_>,
    all: Vec<Contestant>,
    images: usize,
    rounds: usize,
    mut keep: impl FnMut(&Outcome, usize) -> Result<()>,
) -> Result<()> {
    let mut outcome = Outcome {
        images,
        batch: course.batch(),
        on_gpu: course.gpu.is_some(),
        figures: Vec::new(),
        failures: Vec::new(),
        prepare: Samples::default(),
        ceilings: Default::default(),
        macs: None,
    };
    for who in all {
        print!("warm-up: {:<40}", who.name);
        let name = who.name.clone();
        match warm_up(course, who, images.min(WARM_UP)) {
            Ok((figures, seconds)) => {
                println!("{seconds:>8.2} s{}", if figures.who.overlaps { ", overlapped" } else { "" });
                outcome.figures.push(figures);
            }
            Err(error) => {
                println!("fails and is left out: {error:#}");
                outcome.failures.push((name, format!("{error:#}")));
            }
        }
    }
    for number in 1..=rounds {
        let start = Instant::now();
        round(course, &mut outcome)?;
        println!("round {number} of {rounds}: {:.0} s", start.elapsed().as_secs_f64());
        keep(&outcome, number)?;
    }
    Ok(())
}

/// The vectors of the first photos, and in which way they come faster, in seconds.
fn warm_up(course: &Course<'_>, mut who: Contestant, images: usize) -> Result<(Figures, f64)> {
    let npy = course.scratch.join("warm-up.npy");
    // Twice, as the first run finds files that are not in memory yet, or compiles.
    process::run(&mut course.whole(&who, Some(images), Some(&npy)))?;
    let vectors = Vectors::read(&npy)?;
    let mut best = process::run(&mut course.whole(&who, Some(images), None))?;
    if who.may_overlap {
        let overlapping = who.overlapped();
        let other = process::run(&mut course.whole(&overlapping, Some(images), None))?;
        if other.seconds < best.seconds {
            (best, who) = (other, overlapping);
        }
    }
    let mut figures = Figures::new(who);
    figures.vectors = Some(vectors);
    if let Value::Object(versions) = &best.said["versions"] {
        figures.versions.clone_from(versions);
    }
    Ok((figures, best.seconds))
}

fn round(course: &Course<'_>, outcome: &mut Outcome) -> Result<()> {
    let ceilings = course.ceilings()?;
    for (name, samples) in CEILINGS.iter().zip(&mut outcome.ceilings) {
        samples.0.extend(ceilings[name].as_f64());
    }
    outcome.prepare.0.extend(median(&process::run(&mut course.prepare(SECONDS))?.said["images_per_second"]));
    let mut fallen = Vec::new();
    for figures in &mut outcome.figures {
        match turn(course, figures) {
            Ok(macs) => outcome.macs = outcome.macs.or(macs),
            Err(error) => fallen.push((figures.who.name.clone(), format!("{error:#}"))),
        }
    }
    outcome.figures.retain(|figures| fallen.iter().all(|(name, _)| *name != figures.who.name));
    outcome.failures.extend(fallen);
    Ok(())
}

/// One contestant's turn of a round; multiply-adds of an image, where it knows them.
fn turn(course: &Course<'_>, figures: &mut Figures) -> Result<Option<f64>> {
    let Measured { seconds, peak, .. } = process::run(&mut course.whole(&figures.who, None, None))?;
    figures.whole.push(seconds);
    figures.peak.0.extend(peak);
    figures.one.push(process::run(&mut course.whole(&figures.who, Some(1), None))?.seconds);
    let Some(mut model) = course.model(&figures.who, course.batch(), SECONDS) else { return Ok(None) };
    let said = process::run(&mut model)?.said;
    figures.model.0.extend(median(&said["milliseconds_per_image"]));
    Ok(said["macs_per_image"].as_f64())
}

fn median(list: &Value) -> Option<f64> {
    list.as_array()?.iter().filter_map(Value::as_f64).collect::<Samples>().median()
}

/// What the rounds run with, for the record.
pub(crate) fn conditions() -> Value {
    json!({ "cores": machine::cores(), "seconds_of_a_stage": SECONDS, "images_of_the_warm_up": WARM_UP })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_leaves_the_start_out() {
        let mut figures = Figures::new(Contestant::imbed("f32"));
        figures.whole.push(11.0);
        figures.one.push(1.0);
        assert_eq!(figures.speed(101).median(), Some(101.0 / 11.0));
        assert_eq!(figures.pace(101).median(), Some(10.0));
    }
}
