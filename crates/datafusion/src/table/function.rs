//! The table function as SQL calls it.

use std::sync::Arc;

use datafusion::{
    catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider},
    error::Result as PlanResult,
    logical_expr::Expr,
};
use imbed_core::{Error, ErrorKind, Result, options::OnError};

use super::{Column, ImagesTable};
use crate::error::wrap;

/// Its name in SQL.
pub(crate) const NAME: &str = "images";

/// What the reference page says of it.
pub(crate) struct Reference;

impl Reference {
    pub(crate) const SUMMARY: &'static str = "The image files of a folder and those below it, of a pattern, or one \
         file. `*` and `?` stop at a `/`, and `**` goes through folders. A folder, and a pattern that leaves the \
         extension open (`photos/**`), mean files with an extension of an image format; a pattern that spells it out \
         means every file that it matches. Names with a leading dot are passed over. The place may be in a \
         [bucket](sql.md#buckets): `s3://bucket/photos/**`, `gs://…`, `az://…`, or one file of a web server: \
         `https://host/a.jpg`. Files are listed once, as they \
         are read. Conditions on `path`, `size` and `modified` are checked before a file is opened.";
    pub(crate) const SYNTAX: &'static str = "images(place, [on_error])";
    pub(crate) const EXAMPLE: &'static str = "SELECT path, size FROM images('photos/**') WHERE size > 1000000 ORDER \
         BY size DESC;";
    pub(crate) const ARGUMENTS: [(&'static str, &'static str); 2] = [
        ("place", "a folder, a pattern, or a file, in quotes; of this machine or a bucket"),
        (
            "on_error",
            "what a file does that cannot be read: `raise` stops the query, `log` makes its `image` null and says \
                 so, `ignore` makes it null (default `raise`)",
        ),
    ];

    /// The columns: name, type and what they hold.
    pub(crate) fn columns() -> impl Iterator<Item = (&'static str, String, &'static str)> {
        Column::ALL.into_iter().map(|c| (c.name(), c.field().data_type().to_string(), c.summary()))
    }
}

#[derive(Debug)]
pub(crate) struct ImagesFunction;

impl TableFunctionImpl for ImagesFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> PlanResult<Arc<dyn TableProvider>> {
        Ok(Arc::new(table(args.exprs()).map_err(wrap)?))
    }
}

fn table(arguments: &[Expr]) -> Result<ImagesTable> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::BadInput, format!("{NAME}(…) {why}"))
            .hint("name a folder, a pattern or a file, and perhaps what a file does that cannot be read: images('photos/**', 'ignore')")
    };
    let text = |argument: &Expr| match argument {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    let texts: Option<Vec<String>> = arguments.iter().map(text).collect();
    match texts.ok_or_else(|| wrong("takes text in quotes"))?.as_slice() {
        [place] => ImagesTable::new(place, OnError::Raise),
        [place, on_error] => ImagesTable::new(place, on_error.parse::<OnError>()?),
        _ => Err(wrong("takes one place to look for images in")),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn the_place_is_text_and_must_be_there() {
        assert!(table(&[lit(env!("CARGO_MANIFEST_DIR"))]).is_ok());
        assert!(table(&[lit(env!("CARGO_MANIFEST_DIR")), lit("log")]).is_ok());
        for wrong in [vec![], vec![lit(1)], vec![lit("no-such-folder")], vec![lit("*"), lit("sometimes")]] {
            assert!(table(&wrong).unwrap_err().hint_text().is_some());
        }
    }
}
