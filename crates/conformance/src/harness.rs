//! Runs behaviours as the tests of a program, and writes down what came of them.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use imbed_core::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{
    BEHAVIOURS, Behaviour, Report, Subject, Verdict,
    behaviours::golden_vectors,
    bench::Bench,
    journal, other_process,
    report::{Family, Outcome},
};

/// Names the file that [`main`] writes the [`Report`]s of its subjects to, as a JSON array.
pub const REPORT_VARIABLE: &str = "IMBED_CONFORMANCE_REPORT";

/// The `main` of a provider's conformance test: every behaviour of every subject is a test, called `SUBJECT::BEHAVIOUR`.
///
/// Understands the arguments of `cargo test`. `subjects` may start what the provider needs; it is not called in the other
/// process that descriptors are sent to, which finds the provider in the registry.
pub fn main(subjects: impl FnOnce() -> Result<Vec<Subject>>) -> ExitCode {
    if let Some(code) = other_process::answer() {
        return code;
    }
    let arguments = Arguments::from_args();
    let subjects = match subjects() {
        Ok(subjects) => subjects,
        Err(error) => {
            eprintln!("the subject cannot be set up: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runs: Vec<Run> = subjects.into_iter().map(Run::new).collect();
    let conclusion = libtest_mimic::run(&arguments, runs.iter().flat_map(Run::trials).collect());
    if let Some(file) = std::env::var_os(REPORT_VARIABLE).filter(|_| !arguments.list) {
        let reports: Vec<Report> = runs.iter().map(Run::report).collect();
        let written = serde_json::to_vec(&reports).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|json| std::fs::write(&file, json)) {
            eprintln!("the report cannot be written to {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

/// Runs the behaviours that `wanted` names, or all, one after the other.
///
/// The program must have called [`main`] or something like it first: descriptors are sent to a process that is this
/// program once more.
pub fn run(subject: Subject, wanted: Option<&[&str]>) -> Report {
    let run = Run::new(subject);
    for behaviour in BEHAVIOURS.iter().filter(|b| wanted.is_none_or(|names| names.contains(&b.name))) {
        run.shared.judge(behaviour);
    }
    run.report()
}

/// A subject and what came of its behaviours so far.
struct Run {
    shared: Arc<Shared>,
}

struct Shared {
    subject: Mutex<Option<Subject>>,
    names: [String; 3],
    bench: OnceLock<Result<Bench, String>>,
    verdicts: Mutex<BTreeMap<&'static str, Verdict>>,
}

impl Run {
    fn new(subject: Subject) -> Self {
        journal::listen();
        let names = [subject.name.clone(), subject.provider.clone(), subject.model.clone()];
        let subject = Mutex::new(Some(subject));
        let (bench, verdicts) = (OnceLock::new(), Mutex::default());
        Self { shared: Arc::new(Shared { subject, names, bench, verdicts }) }
    }

    fn trials(&self) -> impl Iterator<Item = Trial> {
        BEHAVIOURS.iter().map(|behaviour| {
            let shared = Arc::clone(&self.shared);
            let name = format!("{}::{}", shared.names[0], behaviour.name);
            Trial::ignorable_test(name, move || match shared.judge(behaviour) {
                Verdict::Passed => Ok(Completion::Completed),
                Verdict::Cannot(reason) => Ok(Completion::ignored_with(format!("cannot: {reason}"))),
                Verdict::Failed(how) => Err(Failed::from(format!("promised: {}\n{how}", behaviour.promise))),
            })
        })
    }

    fn report(&self) -> Report {
        let verdicts = self.shared.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = |b: &Behaviour| verdicts.get(b.name).map(|verdict| Outcome::new(b, verdict));
        let [subject, provider, model] = self.shared.names.clone();
        let golden_ran = verdicts.contains_key("golden");
        let families = if golden_ran { self.shared.families() } else { Vec::new() };
        Report { subject, provider, model, behaviours: BEHAVIOURS.iter().filter_map(outcome).collect(), families }
    }
}

impl Shared {
    /// Tests one behaviour and notes what came of it. The provider is set up by the first.
    fn judge(&self, behaviour: &'static Behaviour) -> Verdict {
        let verdict = match self.bench() {
            Ok(bench) => behaviour.judge(bench),
            Err(why) => Verdict::Failed(format!("the model cannot be described: {why}")),
        };
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(behaviour.name, verdict.clone());
        verdict
    }

    fn bench(&self) -> &Result<Bench, String> {
        self.bench.get_or_init(|| {
            let subject = self.subject.lock().unwrap_or_else(PoisonError::into_inner).take();
            Bench::open(subject.ok_or("the subject is gone")?).map_err(|e| e.to_string())
        })
    }

    /// The golden images' vectors; of those that the provider can embed.
    fn families(&self) -> Vec<Family> {
        let Ok(bench) = self.bench() else { return Vec::new() };
        let family = |golden: &crate::Golden| {
            Some(Family {
                family: golden.family.clone(),
                images: golden.images_hash(),
                dtype: golden.dtype.to_string(),
                vectors: golden_vectors(bench, golden).ok()?,
                reference: golden.vectors.clone(),
            })
        };
        bench.subject.goldens.iter().filter_map(family).collect()
    }
}
