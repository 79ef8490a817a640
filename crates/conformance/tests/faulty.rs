//! Every behaviour can fail: a model with a fault fails the behaviours that are meant for it, and one without fails none.

use std::{process::ExitCode, sync::Arc};

use imbed_conformance::{
    BEHAVIOURS, Golden, Report, Staged, Subject, Trouble,
    faulty::{Fault, FaultyProvider, LOGGED_SECRET, SECRET, count_calls, vector},
};
use imbed_core::{PixelBatch, Result, options::OptionMap};
use libtest_mimic::{Arguments, Failed, Trial};

imbed_core::register_provider!(default_priority = 0, || Arc::new(FaultyProvider::local("local")));
imbed_core::register_provider!(default_priority = 0, || Arc::new(FaultyProvider::remote("remote")));
imbed_core::register_provider!(default_priority = 0, || Arc::new(FaultyProvider::liar("liar")));
imbed_core::register_provider!(default_priority = 0, || Arc::new(FaultyProvider::careless("careless")));

/// A provider, the fault of its model, and the behaviours that must fail.
const FOUND: &[(&str, Fault, &[&str])] = &[
    ("liar", Fault::None, &["listing"]),
    ("careless", Fault::None, &["unknown-model", "bad-option"]),
    ("local", Fault::AnnouncesAnotherWidth, &["dimensions"]),
    ("local", Fault::LosesItsOptions, &["descriptor-travels"]),
    ("local", Fault::KnowsItsProcessOnly, &["descriptor-travels"]),
    ("local", Fault::CutsAlthoughItCannot, &["cut"]),
    ("local", Fault::TakesAnyDtype, &["choices"]),
    ("local", Fault::TakesAnyImageSize, &["image-size"]),
    ("remote", Fault::TakesAnyImageSize, &["image-size"]),
    ("local", Fault::TakesAnyDevice, &["missing-device"]),
    ("local", Fault::Drifts, &["golden"]),
    ("remote", Fault::Drifts, &["golden"]),
    ("local", Fault::GivesNan, &["finite"]),
    ("local", Fault::GivesZero, &["finite"]),
    ("local", Fault::IsConstant, &["tells-apart"]),
    ("local", Fault::LosesUnitLength, &["unit-length"]),
    ("local", Fault::IsNeverTheSame, &["repeat"]),
    ("local", Fault::DependsOnTheBatch, &["batch-sizes", "bad-row"]),
    ("remote", Fault::DependsOnTheBatch, &["batch-sizes", "bad-row"]),
    ("local", Fault::MixesThreads, &["concurrency"]),
    ("local", Fault::ForgetsARow, &["finite", "order"]),
    ("remote", Fault::ForgetsARow, &["length", "order"]),
    ("local", Fault::SwapsRows, &["order"]),
    ("remote", Fault::SwapsRows, &["order"]),
    ("local", Fault::FailsOnGrey, &["modes"]),
    ("local", Fault::FailsOnOneColour, &["sizes"]),
    ("local", Fault::FailsForGood, &["nulls", "on-error"]),
    ("local", Fault::IsSlow, &["cancellation"]),
    ("remote", Fault::BlocksItsThread, &["async-runtime"]),
    ("remote", Fault::LogsItsSecret, &["secrets"]),
];

/// A provider, how it fails for a while, how it fails for good, and the behaviours that must fail.
const TROUBLES: &[(&str, Fault, Fault, &[&str])] = &[
    ("local", Fault::FailsTwiceSayingForGood, Fault::FailsForGood, &["temporary-errors"]),
    ("remote", Fault::FailsTwice, Fault::FailsForGoodSayingForNow, &["temporary-errors"]),
    ("remote", Fault::FailsTwice, Fault::RepeatsInVain, &["temporary-errors"]),
    // Never fails, as one that repeats calls although it was told not to.
    ("remote", Fault::None, Fault::FailsForGood, &["temporary-errors"]),
    ("remote", Fault::FailsTwice, Fault::TellsItsSecret, &["secrets"]),
];

fn main() -> ExitCode {
    if let Some(code) = imbed_conformance::answer_other_process() {
        return code;
    }
    let mut trials = vec![
        Trial::test("a_local_model_without_fault_fails_nothing", || fails_nothing("local")),
        Trial::test("a_remote_model_without_fault_fails_nothing", || fails_nothing("remote")),
        Trial::test("every_behaviour_is_seen_to_fail", every_behaviour_is_seen_to_fail),
        Trial::test("what_does_not_apply_says_why", what_does_not_apply_says_why),
        Trial::test("a_model_that_cannot_be_described_fails_everything", cannot_be_described),
    ];
    trials.extend(FOUND.iter().map(|(provider, fault, behaviours)| {
        let name = format!("{}_{}_fails_{}", provider, fault.word(), behaviours.join("_and_"));
        Trial::test(name, move || fails(subject(provider, *fault, Fault::FailsTwice, Fault::FailsForGood), behaviours))
    }));
    trials.extend(TROUBLES.iter().map(|(provider, for_now, for_good, behaviours)| {
        let name =
            format!("{}_{}_and_{}_fails_{}", provider, for_now.word(), for_good.word(), behaviours.join("_and_"));
        Trial::test(name, move || fails(subject(provider, Fault::None, *for_now, *for_good), behaviours))
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn subject(provider: &str, fault: Fault, for_now: Fault, for_good: Fault) -> Subject {
    let staged = |fault: Fault| {
        move || {
            let (counter, calls) = count_calls();
            let mut options = OptionMap::default();
            options.set("counter", &counter);
            Ok(Staged { model: fault.model(), options, calls: Some(calls) })
        }
    };
    let secret = if fault == Fault::LogsItsSecret { LOGGED_SECRET } else { SECRET };
    Subject::new(provider, fault.model())
        .secret(secret)
        .golden(golden(fault).unwrap())
        .patience(std::time::Duration::from_millis(if fault == Fault::IsSlow { 200 } else { 5000 }))
        .trouble(Trouble::FailsForNow, staged(for_now))
        .trouble(Trouble::FailsForGood, staged(for_good))
        .trouble(Trouble::Slow, staged(if fault == Fault::None { Fault::IsSlow } else { fault }))
}

/// What a model without fault gives.
fn golden(fault: Fault) -> Result<Golden> {
    let pixels: Vec<u8> = (0..5 * 8 * 8 * 3).map(|i| (i * i % 251) as u8 / (1 + i as u8 / 64)).collect();
    let vectors = pixels.chunks(8 * 8 * 3).map(|image| vector(image).to_vec()).collect();
    Golden::new("faulty", fault.model(), PixelBatch::from_vec(pixels, 8, 8).unwrap(), vectors)
}

fn fails(subject: Subject, behaviours: &[&str]) -> Result<(), Failed> {
    let report = imbed_conformance::run(subject, Some(behaviours));
    for name in behaviours {
        let outcome = report.outcome(name).ok_or(format!("there is no behaviour '{name}'"))?;
        if outcome.verdict != "failed" {
            return Err(format!("{name}: {} {}", outcome.verdict, outcome.reason.clone().unwrap_or_default()).into());
        }
        println!("{name}: {}", outcome.reason.clone().unwrap_or_default());
    }
    Ok(())
}

fn without_fault(provider: &str) -> Report {
    imbed_conformance::run(subject(provider, Fault::None, Fault::FailsTwice, Fault::FailsForGood), None)
}

fn fails_nothing(provider: &str) -> Result<(), Failed> {
    let report = without_fault(provider);
    let failed: Vec<String> = report.failed().map(|o| format!("{}: {:?}", o.name, o.reason)).collect();
    let all = report.behaviours.len() == BEHAVIOURS.len() && report.families.len() == 1;
    if failed.is_empty() && all { Ok(()) } else { Err(failed.join("\n").into()) }
}

fn every_behaviour_is_seen_to_fail() -> Result<(), Failed> {
    let seen = FOUND.iter().map(|(_, _, b)| *b).chain(TROUBLES.iter().map(|(_, _, _, b)| *b)).flatten();
    let seen: Vec<&str> = seen.copied().collect();
    let never: Vec<&str> = BEHAVIOURS.iter().map(|b| b.name).filter(|name| !seen.contains(name)).collect();
    if never.is_empty() { Ok(()) } else { Err(format!("never seen to fail: {}", never.join(", ")).into()) }
}

/// A local provider without secrets, golden vectors or troubles, and a remote one.
fn what_does_not_apply_says_why() -> Result<(), Failed> {
    let bare = |provider: &str| Subject::new(provider, "faulty/none");
    for (subject, behaviour, verdict) in [
        (bare("local"), "secrets", "cannot"),
        (bare("local"), "temporary-errors", "cannot"),
        (bare("local"), "golden", "cannot"),
        (bare("remote"), "missing-device", "cannot"),
        (bare("remote"), "sizes", "cannot"),
        // A remote provider has keys and fails now and then, so it has to show both.
        (bare("remote"), "secrets", "failed"),
        (bare("remote"), "temporary-errors", "failed"),
    ] {
        let report = imbed_conformance::run(subject, Some(&[behaviour]));
        let outcome = &report.behaviours[0];
        if outcome.verdict != verdict || outcome.reason.as_ref().is_none_or(String::is_empty) {
            return Err(format!("{}, {behaviour}: {outcome:?}, expected {verdict}", report.subject).into());
        }
    }
    Ok(())
}

fn cannot_be_described() -> Result<(), Failed> {
    let report = imbed_conformance::run(Subject::new("local", "no such model"), Some(&["length", "golden"]));
    let reason = report.behaviours[0].reason.clone().unwrap_or_default();
    if report.failed().count() == 2 && reason.contains("no such model") { Ok(()) } else { Err(reason.into()) }
}
