//! `imbed models verify`: whether the cache still holds what was downloaded.

use std::fmt::Write;

use imbed::hub::{Hub, ModelName, Verified};
use serde_json::json;

use crate::{
    args::VerifyArgs,
    commands::{print, print_json},
    exit::{Blame, Outcome, Success},
    show,
};

pub(crate) fn run(args: &VerifyArgs) -> Outcome {
    let name = args.name.as_deref().map(ModelName::parse).transpose().usage()?;
    let hub = Hub::from_env().usage()?;
    let verified = hub.verify(name.as_ref()).fetched()?;
    if args.json {
        print_json(&json!(verified.iter().map(to_json).collect::<Vec<_>>())).fatal()?;
    } else if verified.is_empty() {
        print(&format!("no models in {}\n", hub.cache().display())).fatal()?;
    } else {
        print(&verified.iter().map(to_text).collect::<String>()).fatal()?;
    }
    let whole = verified.iter().all(|model| model.broken.is_empty());
    Ok(if whole { Success::Whole } else { Success::No })
}

fn to_json(verified: &Verified) -> serde_json::Value {
    let broken: Vec<_> = verified.broken.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect();
    json!({
        "name": verified.name,
        "whole": verified.whole,
        "bytes": verified.bytes,
        "broken": broken,
        "unchecked": verified.unknown,
    })
}

fn to_text(verified: &Verified) -> String {
    let Verified { name, whole, bytes, broken, unknown } = verified;
    let mut text = format!("{name}: {} of {} whole", show::count(*whole as u64, "file"), show::bytes(*bytes));
    text.push_str(if broken.is_empty() { "\n" } else { ", but:\n" });
    for (path, why) in broken {
        let _ = writeln!(text, "  broken: {}: {why}", path.display());
    }
    for path in unknown {
        let _ = writeln!(text, "  not checked: {}: no checksum is known", path.display());
    }
    if !broken.is_empty() {
        let _ = writeln!(text, "  `imbed models remove {name}`, then `imbed models pull {name}` mends it");
    }
    text
}
