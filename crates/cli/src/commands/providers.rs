//! `imbed providers`: what is linked into this program.

use std::fmt::Write;

use imbed::core::{Provider, Registry};
use serde_json::json;

use super::{print, print_json};
use crate::{
    args::ProvidersArgs,
    exit::{Blame, Outcome, Success},
};

pub(crate) fn run(args: &ProvidersArgs) -> Outcome {
    let registry = Registry::linked();
    let default = registry.default_provider().usage()?.name();
    if args.json {
        let all: Vec<_> = registry.iter().map(|p| to_json(p.as_ref(), default)).collect();
        print_json(&json!(all)).fatal()?;
    } else {
        print(&registry.iter().map(|p| to_text(p.as_ref(), default)).collect::<String>()).fatal()?;
    }
    Ok(Success::Whole)
}

fn place(provider: &dyn Provider) -> &'static str {
    if provider.is_local() { "local" } else { "remote" }
}

fn to_json(provider: &dyn Provider, default: &str) -> serde_json::Value {
    let options: Vec<_> = provider
        .option_specs()
        .iter()
        .map(|o| json!({ "name": o.name, "values": o.values, "summary": o.summary }))
        .collect();
    json!({
        "name": provider.name(),
        "aliases": provider.aliases(),
        "local": provider.is_local(),
        "default": provider.name() == default,
        "summary": provider.summary(),
        "accepts": provider.accepts(),
        "options": options,
    })
}

fn to_text(provider: &dyn Provider, default: &str) -> String {
    let mut text = format!("{:<12} {:<7} {}", provider.name(), place(provider), provider.summary());
    if provider.name() == default {
        text.push_str(" (the default)");
    }
    text.push('\n');
    if !provider.aliases().is_empty() {
        let _ = writeln!(text, "{:<20} also called {}", "", provider.aliases().join(", "));
    }
    for option in provider.option_specs() {
        let _ = writeln!(text, "{:<20} --option {}={}: {}", "", option.name, option.values, option.summary);
    }
    text
}
