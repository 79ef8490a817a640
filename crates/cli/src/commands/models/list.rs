//! `imbed models list`: what is in the cache.

use std::{
    fmt::Write,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use imbed::{
    core::{EmbedOptions, Registry, fetch::FileChoice},
    hub::{Cached, Hub},
};
use serde_json::json;

use crate::{
    args::ListArgs,
    commands::{print, print_json},
    exit::{Blame, Outcome, Success},
    show,
};

pub(crate) fn run(args: &ListArgs) -> Outcome {
    let hub = Hub::from_env().usage()?;
    let cached = hub.list(&choices()).fatal()?;
    if args.json {
        print_json(&json!(cached.iter().map(to_json).collect::<Vec<_>>())).fatal()?;
    } else if cached.is_empty() {
        let place = hub.cache().display();
        print(&format!("no models in {place}; `imbed models pull NAME` downloads one\n")).fatal()?;
    } else {
        print(&to_text(&cached)).fatal()?;
    }
    Ok(Success::Whole)
}

/// What the providers of this program read of models on the hub.
fn choices() -> Vec<Arc<dyn FileChoice>> {
    let options = EmbedOptions::default();
    Registry::linked().iter().filter_map(|provider| provider.hub_files(&options).ok().flatten()).collect()
}

fn to_json(cached: &Cached) -> serde_json::Value {
    let last_used = cached.last_used.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_secs());
    json!({
        "name": cached.name,
        "commit": cached.commit,
        "revisions": cached.revisions,
        "bytes": cached.bytes,
        "complete": cached.missing.is_empty(),
        "missing": cached.missing,
        "last_used": last_used,
        "folder": cached.folder,
    })
}

/// One line for each, in columns.
fn to_text(cached: &[Cached]) -> String {
    let now = SystemTime::now();
    let rows: Vec<[String; 4]> = cached
        .iter()
        .map(|model| {
            let revision = match model.revisions.as_slice() {
                [] => model.commit.chars().take(12).collect(),
                names => names.join(", "),
            };
            let used = model.last_used.map(|time| show::ago(now.duration_since(time).unwrap_or_default()));
            [model.name.clone(), revision, show::bytes(model.bytes), used.unwrap_or_default()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (names, revisions, sizes, used) = (width(0), width(1), width(2), width(3));
    let mut text = String::new();
    for ([name, revision, size, last], model) in rows.iter().zip(cached) {
        let state = match model.missing.as_slice() {
            [] => "complete".to_owned(),
            missing => format!("incomplete: no {}", missing.join(", no ")),
        };
        let _ = writeln!(text, "{name:names$}  {revision:revisions$}  {size:>sizes$}  {last:used$}  {state}");
    }
    text
}
