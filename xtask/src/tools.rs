//! Checks that need a tool beyond Cargo. A tool on the PATH is used; else its pinned version is built once, beside the
//! target folder's other contents.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::step::{cargo, root, run, target_dir};

/// A program from crates.io.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// Further arguments of `cargo install`.
    install: &'static [&'static str],
}

const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", install: &[] };
// Without its defaults: the tests need neither its web server nor its file watcher.
const MDBOOK: Tool =
    Tool { name: "mdbook", version: "0.5.4", install: &["--no-default-features", "--features", "search"] };

impl Tool {
    /// The program's path, installed first if there is none.
    fn path(&self) -> Result<PathBuf> {
        if Command::new(self.name).arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Ok(self.name.into());
        }
        let folder = target_dir().join("tools").join(format!("{}-{}", self.name, self.version));
        let program = folder.join("bin").join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
        if !program.is_file() {
            println!("building {} {} (once) …", self.name, self.version);
            let version = format!("={}", self.version);
            let mut install = cargo(&["install", "--locked", "--quiet", self.name, "--version", &version]);
            install.args(self.install).arg("--root").arg(&folder);
            run(&mut install).with_context(|| format!("install {} by hand, or put it on the PATH", self.name))?;
        }
        Ok(program)
    }
}

/// Builds the guide, and checks that its links to files lead somewhere.
pub(crate) fn book() -> Result<()> {
    let out = tempfile::tempdir()?;
    run(Command::new(MDBOOK.path()?).arg("build").arg("docs").arg("--dest-dir").arg(out.path()).current_dir(root()))?;
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(root().join("docs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "md") {
            let text = std::fs::read_to_string(&path)?;
            let dead = links(&text).filter(|link| !path.with_file_name(link).exists());
            broken.extend(dead.map(|link| format!("{}: {link}", path.display())));
        }
    }
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// Targets of `[text](target)` that are files, without their anchors.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// The facade with one provider's feature must not depend on what another provider is built on, and neither it nor the command line
/// on what SQL is built on, unless asked.
pub(crate) fn features() -> Result<()> {
    let pairs = [
        ("imbed", "candle", "ort"),
        ("imbed", "candle", "tch"),
        ("imbed", "candle", "reqwest"),
        ("imbed", "onnx", "candle-core"),
        ("imbed", "torch", "candle-core"),
        ("imbed", "openai", "candle-core"),
        ("imbed", "openai", "imbed-vision"),
        ("imbed-cli", "default", "datafusion"),
    ];
    for (package, feature, foreign) in pairs {
        let mut command = cargo(&["tree", "--package", package, "--no-default-features", "--features", feature]);
        let output = command.args(["--edges", "normal,build", "--prefix", "none", "--locked"]).output()?;
        if !output.status.success() {
            bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let tree = String::from_utf8_lossy(&output.stdout);
        if tree.lines().any(|line| line.split(' ').next() == Some(foreign)) {
            bail!("the Cargo feature '{feature}' of {package} brings {foreign} along");
        }
    }
    Ok(())
}

/// Licences, bans and sources; advisories where the advisory database can be reached.
pub(crate) fn deny() -> Result<()> {
    let deny = DENY.path()?;
    let check = |what: &[&str]| {
        let mut command = Command::new(&deny);
        command
            .args(["--workspace", "--all-features", "check", "--hide-inclusion-graph"])
            .args(what)
            .current_dir(root());
        command
    };
    run(&mut check(&["licenses", "bans", "sources"]))?;
    let fetched = Command::new(&deny).args(["fetch", "db"]).current_dir(root()).output();
    if fetched.is_ok_and(|o| o.status.success()) {
        return run(&mut check(&["advisories"]));
    }
    println!("advisories: not checked, the advisory database cannot be reached from here");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_files_without_anchors() {
        let text = "[a](a.md) [b](b.md#x) [c](https://c.example) [d](#here)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["a.md", "b.md"]);
    }
}
