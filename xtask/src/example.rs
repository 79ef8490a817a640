//! The example of a third party's provider: a workspace of its own, checked as its authors would.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step::{cargo, root, run, target_dir};

const MANIFEST: &str = "examples/provider-custom/Cargo.toml";
/// The page that walks through it.
const GUIDE: &str = "docs/writing-a-provider.md";
/// What the example registers.
const PROVIDER: &str = "perceptual";

/// Format, lints and tests, and that the strongest link-time optimisation does not lose the registration.
pub(crate) fn run_checks() -> Result<()> {
    docs_quote_it()?;
    run(&mut in_example(&["fmt", "--check"]))?;
    run(&mut in_example(&["clippy", "--all-targets", "--locked", "--", "--deny", "warnings"]))?;
    run(&mut in_example(&["test", "--locked"]))?;
    survives_optimisation()
}

/// Every block of code in the guide must stand in the example, word for word, so that the guide cannot grow old.
fn docs_quote_it() -> Result<()> {
    let folder = root().join(MANIFEST).with_file_name("");
    let mut sources = String::new();
    for file in ["Cargo.toml", "src/lib.rs", "src/provider.rs", "src/descriptor.rs", "src/embedder.rs"]
        .into_iter()
        .chain(["src/bin/providers.rs", "tests/conformance.rs"])
    {
        let path = folder.join(file);
        sources += &std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    }
    let guide = std::fs::read_to_string(root().join(GUIDE)).context(GUIDE)?;
    let blocks = code_blocks(&guide);
    ensure!(!blocks.is_empty(), "{GUIDE} has no code");
    let missing: Vec<&str> = blocks.into_iter().filter(|block| !sources.contains(block)).collect();
    ensure!(missing.is_empty(), "{GUIDE} quotes what is not in the example:\n{}", missing.join("\n"));
    Ok(())
}

/// What stands between the fences of a page.
fn code_blocks(markdown: &str) -> Vec<&str> {
    let parts = markdown.split("```").skip(1).step_by(2);
    parts.filter_map(|part| part.split_once('\n')).map(|(_, block)| block).collect()
}

/// The example's release profile has fat link-time optimisation, which leaves out whatever nobody refers to.
fn survives_optimisation() -> Result<()> {
    run(&mut in_example(&["build", "--release", "--locked", "--bin", "providers"]))?;
    let program = target_dir().join("release").join(format!("providers{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).output().with_context(|| format!("{} cannot be run", program.display()))?;
    let listed = String::from_utf8_lossy(&output.stdout);
    println!("{listed}");
    ensure!(
        output.status.success() && listed.lines().any(|line| line.starts_with(PROVIDER)),
        "{} does not list the provider '{PROVIDER}'",
        program.display()
    );
    Ok(())
}

/// `cargo ARGS…` in the example, which shares what is built with this workspace.
fn in_example(args: &[&str]) -> Command {
    let (task, rest) = args.split_first().map_or(("", args), |(task, rest)| (*task, rest));
    let mut command = cargo(&[task]);
    command.arg("--manifest-path").arg(root().join(MANIFEST)).args(rest).env("CARGO_TARGET_DIR", target_dir());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_quotes_the_example() {
        docs_quote_it().unwrap();
    }

    #[test]
    fn blocks_are_what_stands_between_fences() {
        assert_eq!(code_blocks("a\n```rust\nfn x() {}\n```\nb\n```toml\ny = 1\n```\n"), ["fn x() {}\n", "y = 1\n"]);
    }
}
