//! The page of the guide that shows what the suite found.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::step::root;

use super::{matrix, pairs::Pair};

const PAGE: &str = "docs/conformance.md";
/// What follows depends on the last bits of vectors and is shown, not held against a later run.
const PAIRS: &str = "\n## The same weights\n";

/// Writes the page.
pub(super) fn write(reports: &[Value], pairs: &[Pair]) -> Result<()> {
    std::fs::write(root().join(PAGE), text(reports, pairs)).context(PAGE)?;
    println!("{PAGE} is written");
    Ok(())
}

/// Fails if the page shows other verdicts than these.
pub(super) fn check(reports: &[Value]) -> Result<()> {
    let page = std::fs::read_to_string(root().join(PAGE)).context(PAGE)?;
    let verdicts = |text: &str| text.split(PAIRS).next().map(str::to_owned);
    ensure!(
        verdicts(&page) == verdicts(&text(reports, &[])),
        "{PAGE} shows other verdicts; `cargo xtask test-providers --write` brings it up to date"
    );
    Ok(())
}

fn text(reports: &[Value], pairs: &[Pair]) -> String {
    let mut page = "# Conformance\n\n\
        What `cargo xtask test-providers` found; `--write` writes this page, and a run fails if it shows other verdicts. What each \
        behaviour promises stands in [Writing a provider](writing-a-provider.md).\n\n"
        .to_owned();
    page += &matrix::markdown(reports);
    let _ = write!(
        page,
        "{PAIRS}\nProviders that read the same checkpoint, held against each other and against the reference on its golden images. \
         The cosine is the smallest over the images, *centred* after the mean is removed; in f32 that must be 0.9999.\n\n\
         | checkpoint | pair | images | cosine | centred |\n|---|---|--:|--:|--:|\n"
    );
    for pair in pairs {
        page += &pair.markdown();
    }
    page
}
