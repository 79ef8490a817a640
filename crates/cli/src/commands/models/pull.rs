//! `imbed models pull`: a model from the hub into the cache.

use std::sync::Arc;

use imbed::{
    core::{Error, ErrorKind, Registry, config::Config, fetch::FileChoice, options::OptionMap},
    hub::{Hub, ModelName, Pulled, Settings},
};
use serde_json::json;

use crate::{
    args::PullArgs,
    commands::{print, print_json},
    download::Downloads,
    exit::{Blame, Outcome, Success},
    interrupt, show,
};

pub(crate) fn run(args: &PullArgs) -> Outcome {
    if is_builtin(&args.name) {
        return told_builtin(args);
    }
    let name = name(args).usage()?;
    let mut settings = Settings::from_env().usage()?;
    settings.offline |= args.offline || Config::load(None).usage()?.offline;
    let hub = match choice(args).usage()? {
        Some(choice) => Hub::new(settings).choosing(choice),
        None => Hub::new(settings),
    };
    interrupt::listen().fatal()?;
    let mut downloads = Downloads::new(args.quiet, args.json);
    let pulled = hub.pull(&name, &mut downloads).fetched()?;
    drop(downloads);
    if args.json {
        print_json(&to_json(&pulled)).fatal()?;
    } else if !args.quiet {
        print(&to_text(&pulled)).fatal()?;
    }
    Ok(Success::Whole)
}

/// The name, with the revision that either of two places may give.
fn name(args: &PullArgs) -> Result<ModelName, Error> {
    let name = ModelName::parse(&args.name)?;
    match (name.named_revision(), &args.revision) {
        (Some(named), Some(other)) if named != other => {
            Err(Error::new(ErrorKind::BadInput, format!("'{name}' names one revision and --revision {other} another"))
                .hint("leave one of them away"))
        }
        (None, Some(revision)) => name.at(revision),
        _ => Ok(name),
    }
}

/// The files that the provider named reads with the options given; those of the default provider where none is named.
fn choice(args: &PullArgs) -> Result<Option<Arc<dyn FileChoice>>, Error> {
    let registry = Registry::linked();
    let provider = match &args.provider {
        Some(name) => registry.get(name)?,
        None => registry.default_provider()?,
    };
    let mut options = OptionMap::default();
    for (name, value) in &args.options {
        options.set(name.as_str(), value);
    }
    if let Some(dtype) = &args.dtype {
        options.set("dtype", dtype);
    }
    let choice = provider.hub_files(&options.read(provider.option_specs())?)?;
    if choice.is_none() && args.provider.is_some() {
        let message = format!("the provider {} reads no models of the hub", provider.name());
        return Err(Error::new(ErrorKind::BadInput, message).hint("its models need no download"));
    }
    Ok(choice)
}

fn is_builtin(name: &str) -> bool {
    Registry::linked().iter().any(|provider| provider.models().iter().any(|model| model.builtin && model.name == name))
}

fn told_builtin(args: &PullArgs) -> Outcome {
    if args.json {
        print_json(&json!({ "name": args.name, "builtin": true })).fatal()?;
    } else if !args.quiet {
        print(&format!("{} is inside the program: there is nothing to download\n", args.name)).fatal()?;
    }
    Ok(Success::Whole)
}

fn to_json(pulled: &Pulled) -> serde_json::Value {
    let snapshot = &pulled.snapshot;
    json!({
        "name": snapshot.name.repo(),
        "revision": snapshot.name.revision(),
        "commit": snapshot.commit,
        "folder": snapshot.folder,
        "files": pulled.files,
        "bytes": pulled.bytes,
        "downloaded_bytes": pulled.downloaded_bytes,
    })
}

fn to_text(pulled: &Pulled) -> String {
    let snapshot = &pulled.snapshot;
    let came = match pulled.downloaded_bytes {
        0 => "all here already".to_owned(),
        bytes => format!("{} downloaded", show::bytes(bytes)),
    };
    format!(
        "{} at commit {}: {}, {}, {came}\n  {}\n",
        snapshot.name,
        snapshot.commit,
        show::count(pulled.files.len() as u64, "file"),
        show::bytes(pulled.bytes),
        snapshot.folder.display()
    )
}
