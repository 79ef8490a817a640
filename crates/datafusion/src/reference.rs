//! The reference page, made from the functions' own documentation.

use std::fmt::Write;

use datafusion::logical_expr::Documentation;

use crate::{
    context::default_models,
    functions,
    table::{NAME, Reference},
};

const HEAD: &str = "\
# SQL functions

This page is made from the functions' own documentation; a test holds it against them. [SQL](sql.md) shows how they are used.

A null in any argument's row gives a null. Arguments in brackets may be left out, or be `NULL`, which is the same; they are given by
position or by name (`on_error => 'ignore'`).
";

/// The names of this crate's functions.
pub(crate) fn is_ours(name: &str) -> bool {
    functions::NAMES.contains(&name)
}

/// The page `docs/sql-functions.md`: every function of this crate, with its arguments and an example, in Markdown.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    for (name, documentation) in functions::documentation(&default_models()) {
        // Writing to a string does not fail.
        let _ = section(&mut page, &name, &documentation);
    }
    let _ = table(&mut page);
    page
}

fn section(page: &mut String, name: &str, documentation: &Documentation) -> std::fmt::Result {
    write!(page, "\n## {name}\n\n    {}\n\n{}\n", documentation.syntax_example, documentation.description)?;
    arguments(page, documentation.arguments.iter().flatten().map(|(name, what)| (name.as_str(), what.as_str())))?;
    if let Some(example) = &documentation.sql_example {
        write!(page, "\n{example}\n")?;
    }
    Ok(())
}

fn table(page: &mut String) -> std::fmt::Result {
    write!(page, "\n## {NAME}\n\n    {}\n\n{}\n", Reference::SYNTAX, Reference::SUMMARY)?;
    arguments(page, Reference::ARGUMENTS)?;
    write!(page, "\n| column | type | |\n|---|---|---|\n")?;
    for (name, data_type, summary) in Reference::columns() {
        writeln!(page, "| `{name}` | {data_type} | {summary} |")?;
    }
    write!(page, "\n```sql\n{}\n```\n", Reference::EXAMPLE)
}

fn arguments<'a>(page: &mut String, arguments: impl IntoIterator<Item = (&'a str, &'a str)>) -> std::fmt::Result {
    write!(page, "\n| argument | |\n|---|---|\n")?;
    for (name, what) in arguments {
        // A bar would end the cell.
        writeln!(page, "| `{name}` | {} |", what.replace('|', "\\|"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `IMBED_UPDATE_DOCS=1 cargo test -p imbed-datafusion reference` writes the page anew.
    #[test]
    fn the_page_in_the_docs_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql-functions.md");
        if std::env::var_os("IMBED_UPDATE_DOCS").is_some() {
            std::fs::write(&path, reference_page()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == reference_page(),
            "docs/sql-functions.md is stale: run `IMBED_UPDATE_DOCS=1 cargo test -p imbed-datafusion reference`"
        );
    }

    #[test]
    fn the_list_of_names_is_that_of_the_functions() {
        let registered: Vec<String> = functions::all(&default_models()).iter().map(|f| f.name().to_owned()).collect();
        assert_eq!(registered, functions::NAMES);
    }
}
