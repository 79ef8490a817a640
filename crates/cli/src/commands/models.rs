//! `imbed models`: what can be named, and what else may be passed.

use std::{fmt::Write, sync::Arc};

use imbed::core::{Provider, Registry};
use serde_json::json;

use super::{print, print_json};
use crate::{
    args::ModelsArgs,
    exit::{Blame, Outcome, Success},
};

pub(crate) fn run(args: &ModelsArgs) -> Outcome {
    let registry = Registry::linked();
    let chosen: Vec<&Arc<dyn Provider>> = match &args.provider {
        Some(name) => vec![registry.get(name).usage()?],
        None => registry.iter().collect(),
    };
    if args.json {
        let all: Vec<_> = chosen.iter().map(|p| to_json(p.as_ref())).collect();
        print_json(&json!(all)).fatal()?;
    } else {
        print(&chosen.iter().map(|p| to_text(p.as_ref())).collect::<String>()).fatal()?;
    }
    Ok(Success::Whole)
}

fn to_json(provider: &dyn Provider) -> serde_json::Value {
    let models: Vec<_> = provider
        .models()
        .into_iter()
        .map(|m| json!({ "name": m.name, "dimensions": m.dimensions, "builtin": m.builtin, "summary": m.summary }))
        .collect();
    json!({
        "provider": provider.name(),
        "models": models,
        "accepts": provider.accepts(),
        "default_model": provider.default_model(),
        "builtin_model": provider.builtin_model(),
    })
}

fn to_text(provider: &dyn Provider) -> String {
    let mut text = format!("{}\n", provider.name());
    for model in provider.models() {
        let builtin = if model.builtin { " (built in)" } else { "" };
        let _ = writeln!(text, "  {:<20} {:>5} dimensions  {}{builtin}", model.name, model.dimensions, model.summary);
    }
    let _ = writeln!(text, "  --model also takes {}", provider.accepts());
    text
}
