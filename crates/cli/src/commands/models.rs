//! `imbed models`: what can be named, and what else may be passed; and, one file each, what is done with the cache of
//! downloaded models.

mod list;
mod pull;
mod remove;
mod verify;

use std::{fmt::Write, sync::Arc};

use imbed::core::{Provider, Registry};
use serde_json::json;

use super::{print, print_json};
use crate::{
    args::{ModelsArgs, ModelsCommand},
    exit::{Blame, Outcome, Success},
};

pub(crate) fn run(args: &ModelsArgs) -> Outcome {
    match &args.command {
        Some(ModelsCommand::Pull(args)) => pull::run(args),
        Some(ModelsCommand::List(args)) => list::run(args),
        Some(ModelsCommand::Verify(args)) => verify::run(args),
        Some(ModelsCommand::Remove(args)) => remove::run(args),
        None => known(args),
    }
}

fn known(args: &ModelsArgs) -> Outcome {
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
    if let Some(model) = provider.default_model() {
        let _ = writeln!(text, "  --provider {} without --model takes {model}", provider.name());
    }
    text
}
