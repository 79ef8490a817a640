//! `imbed embed --explain`: what would be done, and why.

use std::fmt::Write;

use imbed::{core::session::Resolved, engine::Engine};

use crate::{
    args::EmbedArgs,
    sink::Target,
    source::{Skipped, Source},
    urls,
};

/// What would be done, and why.
pub(super) fn explanation(
    args: &EmbedArgs,
    source: &Source,
    target: Option<&Target>,
    resolved: &Resolved,
    engine: &Engine,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<20}{value}");
    };
    for input in &source.description {
        line("source", input);
    }
    if !source.skipped.is_empty() {
        line("skipped", &skipped(&source.skipped));
    }
    let carried: Vec<&str> = source.schema().fields().iter().map(|f| f.name().as_str()).collect();
    line("carried columns", if carried.is_empty() { "none".to_owned() } else { carried.join(", ") }.as_str());
    line("output", &target.map_or_else(|| "none named (-o FILE)".to_owned(), ToString::to_string));
    line("provider chosen", &resolved.provider_origin.to_string());
    line("model chosen", &resolved.model_origin.to_string());
    if let Some(addresses) = urls::describe(&args.urls) {
        line("addresses", &addresses);
    }
    if let Some(cache) = engine.cache() {
        line("cache", &cache.display().to_string());
    }
    text + &engine.plan().to_string()
}

fn skipped(skipped: &Skipped) -> String {
    skipped.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
}
