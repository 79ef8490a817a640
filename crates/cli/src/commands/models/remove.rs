//! `imbed models remove`: a model out of the cache.

use imbed::hub::{Hub, ModelName};
use serde_json::json;

use crate::{
    args::RemoveArgs,
    commands::{print, print_json},
    exit::{Blame, Outcome, Success},
    show,
};

pub(crate) fn run(args: &RemoveArgs) -> Outcome {
    let name = ModelName::parse(&args.name).usage()?;
    let removed = Hub::from_env().usage()?.remove(&name).fetched()?;
    if args.json {
        let json = json!({ "name": removed.name, "folder": removed.folder, "bytes": removed.bytes });
        print_json(&json).fatal()?;
    } else {
        print(&format!("removed {}, {}\n", removed.name, show::bytes(removed.bytes))).fatal()?;
    }
    Ok(Success::Whole)
}
