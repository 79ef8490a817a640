//! Every provider through the conformance suite, and providers that run the same weights against each other.
//!
//! A new provider is one entry of [`PROVIDERS`], and a `tests/conformance.rs` in its crate.

mod matrix;
mod page;
mod pairs;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    setup::{self, Libtorch},
    step::{cargo, root, target_dir},
};

use pairs::Pair;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Lists the providers and what each needs, and runs nothing.
    #[arg(long)]
    list: bool,
    /// Prints the results as JSON.
    #[arg(long)]
    json: bool,
    /// Writes what comes of it to docs/conformance.md.
    #[arg(long, conflicts_with_all = ["provider", "filter", "list"])]
    write: bool,
    /// Only the behaviours whose name contains this, or other arguments of the test's program.
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// A provider's conformance test, and what must be there before it runs.
struct Entry {
    /// As it is registered.
    name: &'static str,
    /// The workspace that holds the package, from the root.
    workspace: &'static str,
    /// The package with the test `conformance`.
    package: &'static str,
    /// The package's folder, from the root, where its test runs.
    folder: &'static str,
    /// Cargo features to build it with, as `PACKAGE/FEATURE`.
    features: &'static [&'static str],
    /// What has to be brought up, in a few words.
    needs: &'static str,
    /// Brings it up, and gives the environment variables that tell the test where it is.
    bring_up: fn() -> Result<Environment>,
}

/// Variables and their values.
type Environment = Vec<(&'static str, OsString)>;

const PROVIDERS: &[Entry] = &[
    Entry {
        name: "candle",
        workspace: ".",
        package: "imbed-provider-candle",
        folder: "crates/provider-candle",
        features: &[],
        needs: "nothing",
        bring_up: nothing,
    },
    Entry {
        name: "onnx",
        workspace: ".",
        package: "imbed-provider-onnx",
        folder: "crates/provider-onnx",
        features: &[],
        needs: "ONNX Runtime: ORT_DYLIB_PATH, or else it is fetched",
        // The test looks for it where it is put.
        bring_up: || setup::onnx_runtime().map(|()| Environment::new()),
    },
    Entry {
        name: "torch",
        workspace: ".",
        package: "imbed-provider-torch",
        folder: "crates/provider-torch",
        features: &[],
        needs: "libtorch: LIBTORCH or LIBTORCH_USE_PYTORCH, or else it is fetched",
        // The build is told, and the program has the path of the libraries in it.
        bring_up: nothing,
    },
    Entry {
        name: "openai",
        workspace: ".",
        package: "imbed-provider-openai",
        folder: "crates/provider-openai",
        features: &[],
        needs: "nothing: the test starts the services that it asks",
        bring_up: nothing,
    },
    Entry {
        name: "perceptual",
        workspace: "examples/provider-custom",
        package: "provider-custom",
        folder: "examples/provider-custom",
        features: &[],
        needs: "nothing",
        bring_up: nothing,
    },
];

/// For those who need nothing.
#[allow(clippy::unnecessary_wraps, reason = "what others need may be missing")]
fn nothing() -> Result<Environment> {
    Ok(Environment::new())
}

impl Args {
    /// Every provider, every behaviour.
    pub(crate) const ALL: Self = Self { provider: None, list: false, json: false, write: false, filter: Vec::new() };
}

/// Runs the suites, prints the matrix and the comparison of providers, and fails if anything in them does.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut chosen: Vec<&Entry> =
        PROVIDERS.iter().filter(|p| args.provider.as_ref().is_none_or(|name| name == p.name)).collect();
    let names = || PROVIDERS.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
    ensure!(!chosen.is_empty(), "there is no such provider; providers: {}", names());
    if args.list {
        for entry in chosen {
            let features = if entry.features.is_empty() { "none".to_owned() } else { entry.features.join(", ") };
            println!("{:<14}{:<26}features: {features}; needs: {}", entry.name, entry.package, entry.needs);
        }
        return Ok(());
    }
    if args.provider.is_none() && matches!(setup::libtorch()?, Libtorch::Missing) {
        eprintln!("torch is left out: there is no libtorch for this machine on the Python index, and none is named");
        chosen.retain(|entry| entry.name != "torch");
    }
    let whole = chosen.len() == PROVIDERS.len();
    let mut reports = Vec::new();
    let mut broken = Vec::new();
    let programs = build(&chosen, args.provider.is_some())?;
    for entry in chosen {
        match programs
            .get(entry.package)
            .context("it has no test called conformance")
            .and_then(|p| test(entry, p, args))
        {
            Ok(more) => reports.extend(more),
            Err(error) => broken.push(format!("{}: {error:#}", entry.name)),
        }
    }
    let pairs = pairs::compare(&reports);
    if args.json {
        println!("{:#}", to_json(&reports, &pairs));
    } else {
        println!("\n{}\n{}", matrix::table(&reports), pairs::table(&pairs));
    }
    broken.extend(matrix::failures(&reports));
    broken.extend(pairs.iter().filter_map(Pair::failure));
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    match (args.write, whole && args.filter.is_empty()) {
        (true, _) => page::write(&reports, &pairs),
        (false, true) => page::check(&reports),
        (false, false) => Ok(()),
    }
}

/// Builds the tests; the program of each package.
///
/// Whole workspaces, unless it is about one provider: so the dependencies have the features that all other checks use, and are
/// not built twice.
fn build(chosen: &[&Entry], one: bool) -> Result<BTreeMap<String, PathBuf>> {
    let mut programs = BTreeMap::new();
    let workspaces: BTreeSet<&str> = chosen.iter().map(|entry| entry.workspace).collect();
    for workspace in workspaces {
        let entries: Vec<&&Entry> = chosen.iter().filter(|entry| entry.workspace == workspace).collect();
        let mut command = cargo(&["test", "--locked", "--test", "conformance", "--no-run"]);
        command.args(["--message-format", "json-render-diagnostics", "--manifest-path"]);
        command.arg(root().join(workspace).join("Cargo.toml"));
        if one {
            for entry in &entries {
                command.args(["--package", entry.package]);
            }
        } else {
            command.arg("--workspace");
        }
        let features: Vec<&str> = entries.iter().flat_map(|entry| entry.features).copied().collect();
        if !features.is_empty() {
            command.arg("--features").arg(features.join(","));
        }
        match setup::libtorch()? {
            // Nothing is to be left out where single packages are named.
            Libtorch::Missing if one => {}
            libtorch if workspace == "." => libtorch.tell(&mut command),
            _ => {}
        }
        // What is built here is shared with the other workspaces.
        command.env("CARGO_TARGET_DIR", target_dir()).stderr(Stdio::inherit());
        let output = command.output().context("cargo cannot be started")?;
        ensure!(output.status.success(), "the conformance tests of {workspace} cannot be built ({})", output.status);
        programs.extend(String::from_utf8_lossy(&output.stdout).lines().filter_map(program));
    }
    Ok(programs)
}

/// The package and the program of a conformance test, from one line of what Cargo says it built.
fn program(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let executable = message["executable"].as_str().filter(|_| message["target"]["name"] == "conformance")?;
    // `path+file:///…/crates/provider-candle#imbed-provider-candle@0.1.0`, or `…/provider-custom#0.1.0` where the folder is called
    // like the package.
    let (path, name) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package = name.split_once('@').map_or_else(|| path.rsplit('/').next().unwrap_or(path), |(package, _)| package);
    Some((package.to_owned(), executable.into()))
}

/// The reports of one provider's test. That behaviours failed is in them, and no error here.
fn test(entry: &Entry, program: &Path, args: &Args) -> Result<Vec<Value>> {
    let environment = (entry.bring_up)().with_context(|| format!("what it needs ({}) cannot be had", entry.needs))?;
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let mut command = Command::new(program);
    command.args(&args.filter).current_dir(root().join(entry.folder)).envs(environment);
    command.env("IMBED_CONFORMANCE_REPORT", &report);
    if args.json {
        command.stdout(Stdio::from(io::stderr()));
    }
    let status = command.status().with_context(|| format!("{} cannot be started", program.display()))?;
    let text = std::fs::read(&report).with_context(|| format!("the test wrote no report ({status})"))?;
    let reports: Vec<Value> = serde_json::from_slice(&text).context("the report cannot be read")?;
    ensure!(
        status.success() || !matrix::failures(&reports).is_empty(),
        "the test failed ({status}), although no behaviour did"
    );
    Ok(reports)
}

/// The reports without their vectors, and the comparisons.
fn to_json(reports: &[Value], pairs: &[Pair]) -> Value {
    let subjects: Vec<Value> = reports
        .iter()
        .map(|r| json!({ "subject": r["subject"], "provider": r["provider"], "model": r["model"], "behaviours": r["behaviours"] }))
        .collect();
    json!({ "subjects": subjects, "pairs": pairs.iter().map(Pair::to_json).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_crate_is_tested() {
        let tested: Vec<&str> = PROVIDERS.iter().map(|p| p.package).collect();
        for entry in std::fs::read_dir(root().join("crates")).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("provider-") {
                let package = format!("imbed-{name}");
                assert!(tested.contains(&package.as_str()), "{package} is not in the table of test-providers");
                assert!(entry.path().join("tests/conformance.rs").is_file(), "{package} has no tests/conformance.rs");
            }
        }
    }

    #[test]
    fn every_package_of_the_table_exists() {
        for entry in PROVIDERS {
            for folder in [entry.folder, entry.workspace] {
                let manifest = root().join(folder).join("Cargo.toml");
                assert!(manifest.is_file(), "{}", manifest.display());
            }
        }
    }

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let line = |id: &str| {
            let target = json!({ "name": "conformance" });
            json!({ "package_id": id, "target": target, "executable": "/t/conformance-1" }).to_string()
        };
        let package = |id: &str| program(&line(id)).unwrap().0;
        assert_eq!(
            package("path+file:///r/crates/provider-candle#imbed-provider-candle@0.1.0"),
            "imbed-provider-candle"
        );
        assert_eq!(package("path+file:///r/examples/provider-custom#0.1.0"), "provider-custom");
        assert!(program("{\"reason\":\"build-finished\"}").is_none() && program("not JSON").is_none());
    }
}
