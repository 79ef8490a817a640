//! Failures that pass, and failures that do not.

use std::sync::atomic::Ordering::SeqCst;

use imbed_core::{Error, ErrorKind, Result};
use imbed_engine::Engine;

use crate::{
    Behaviour, Trouble,
    behaviour::{Check, Failure, ensure},
    bench::{Bench, column},
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "temporary-errors",
    promise: "a failure that passes is outlived by repeating the call; one that does not is reported at once",
    cannot: |bench| {
        let known = [Trouble::FailsForNow, Trouble::FailsForGood].iter().any(|t| bench.subject.knows(*t));
        // Who depends on others fails now and then, so a remote provider has to show how.
        (!known && bench.provider.is_local()).then(|| "no way to make this local provider fail was given".to_owned())
    },
    check,
};

fn check(bench: &Bench) -> Check {
    if bench.subject.knows(Trouble::FailsForNow) {
        check_for_now(bench).map_err(|e| e.during("failing twice, then no more"))?;
    } else if !bench.provider.is_local() {
        return Err("a remote provider must say how it fails for a while (Trouble::FailsForNow)".into());
    }
    if bench.subject.knows(Trouble::FailsForGood) {
        return check_for_good(bench).map_err(|e| e.during("failing for good"));
    }
    ensure!(bench.provider.is_local(), "a remote provider must say how it fails for good (Trouble::FailsForGood)");
    Ok(())
}

fn check_for_now(bench: &Bench) -> Check {
    let (outcome, _) = run(bench, Trouble::FailsForNow, "3")?;
    outcome.map_err(|e| Failure::from(e).during("3 further tries were not enough"))?;
    let (outcome, _) = run(bench, Trouble::FailsForNow, "0")?;
    ensure!(outcome.is_err(), "with max_retries = 0 the call was repeated nevertheless");
    Ok(())
}

fn check_for_good(bench: &Bench) -> Check {
    let (outcome, calls) = run(bench, Trouble::FailsForGood, "3")?;
    let Err(error) = outcome else { return Err("the run succeeded".into()) };
    ensure!(!error.is_temporary(), "the error says that it will pass: {error}");
    ensure!(error.message().len() > 10, "the message says next to nothing: {error}");
    if let Some(calls) = calls {
        ensure!(calls <= 1, "the call was made {calls} times, although it can never succeed");
    }
    Ok(())
}

/// Embeds one image with `trouble`; what came of it, and how many calls that took, where it is known.
fn run(bench: &Bench, trouble: Trouble, max_retries: &str) -> Result<(Result<(), Error>, Option<usize>)> {
    let nothing = || Err(Error::new(ErrorKind::Internal, "a trouble that the subject does not know"));
    let staged = bench.subject.stage(trouble).unwrap_or_else(nothing)?;
    let file = column(&[pngs(&pictures(1)?)?.pop()]);
    let outcome = bench
        .describe_model(&staged.model, &staged.options, &[("max_retries", max_retries), ("on_error", "raise")])
        .and_then(|descriptor| Engine::builder(descriptor).build())
        .and_then(|engine| engine.embed_array(file.into()))
        .map(|_| ());
    Ok((outcome, staged.calls.map(|calls| calls.load(SeqCst))))
}
