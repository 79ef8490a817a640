//! Pages of the guide with places that tasks fill: `<!-- NAME -->`, what was measured, `<!-- /NAME -->`.

use std::fs;

use anyhow::{Context, Result};

use crate::step::root;

/// A page of `docs/`, by its path from the root.
pub(crate) struct Page(pub(crate) &'static str);

impl Page {
    /// What stands in the place `name`.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        Ok(self.cut(&self.text()?, name)?.1.trim().to_owned())
    }

    /// Puts `text` into the place `name`.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let [before, _, after] = <[String; 3]>::from(self.cut(&self.text()?, name)?);
        let page = format!("{before}<!-- {name} -->\n\n{}\n\n<!-- /{name} -->{after}", text.trim());
        fs::write(root().join(self.0), page).context(self.0)?;
        println!("written: {}", self.0);
        Ok(())
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(root().join(self.0)).context(self.0)
    }

    /// What comes before the place, stands in it, and comes after it.
    fn cut(&self, page: &str, name: &str) -> Result<(String, String, String)> {
        let (from, to) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
        let parts = page.split_once(&from).and_then(|(before, rest)| Some((before, rest.split_once(&to)?)));
        let (before, (old, after)) = parts.with_context(|| format!("{} has no {from} followed by {to}", self.0))?;
        Ok((before.to_owned(), old.to_owned(), after.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_found() {
        let page = Page("docs/x.md");
        let cut = page.cut("a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n", "bench:x").unwrap();
        assert_eq!((cut.0.as_str(), cut.1.as_str(), cut.2.as_str()), ("a\n", "\nold\n", "\nb\n"));
        let missing = page.cut("", "y").unwrap_err().to_string();
        assert!(missing.contains("docs/x.md") && missing.contains("<!-- y -->"), "{missing}");
    }
}
