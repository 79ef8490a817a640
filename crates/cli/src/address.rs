//! Addresses where `imbed embed` takes files: images are fetched where that was allowed, buckets are read and written by SQL alone.

use std::path::Path;

use imbed::core::{
    Error, ErrorKind, Result,
    address::{is_web, shown},
};

/// Whether `input` is an image that is fetched. An error if it is an address that is not, which says how to reach it.
pub(crate) fn is_fetched(input: &str, allowed: bool) -> Result<bool> {
    if !is_web(input) {
        return refuse_input(input).map(|()| false);
    }
    let path = input.split(['?', '#']).next().unwrap_or(input);
    let extension = Path::new(path).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let is = |names: &[&str]| extension.as_deref().is_some_and(|extension| names.contains(&extension));
    if is(&["txt", "list"]) {
        return Err(Error::new(
            ErrorKind::BadInput,
            format!("{}: lists are read from files of this machine", shown(input)),
        )
        .hint("download it first; the addresses in it are fetched with --allow-urls"));
    }
    if is(&["parquet", "pq", "csv", "tsv", "json", "jsonl", "ndjson", "arrow", "arrows", "ipc", "feather"]) {
        return refuse_input(input).map(|()| false);
    }
    if allowed {
        return Ok(true);
    }
    Err(Error::new(ErrorKind::BadInput, format!("{}: addresses are not fetched unless that is allowed", shown(input)))
        .hint("--allow-urls allows it, for addresses in lists and tables too"))
}

/// Refuses `text` if it is an address such as `s3://bucket/photos/**`, and says how to reach it. `query` is the statement to use.
fn refuse(text: &str, query: impl Fn(&str) -> String) -> Result<()> {
    let Some((scheme, _)) = text.split_once("://") else { return Ok(()) };
    if !["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "http", "https"]
        .contains(&scheme.to_ascii_lowercase().as_str())
    {
        return Ok(());
    }
    // A question mark may be a pattern's in the name of an object; where there is a query it may be a signature.
    let is_plain = !is_web(text) && !text.contains('@') && !text.contains('=');
    let text = if is_plain { text.to_owned() } else { shown(text).trim_end_matches("?…").to_owned() };
    let built = if cfg!(feature = "sql") { "" } else { " (built with the Cargo feature 'sql')" };
    let refused = Error::new(ErrorKind::BadInput, format!("{text}: this command works on files of this machine"));
    Err(refused.hint(format!("buckets are reached by `imbed sql`{built}: imbed sql \"{}\"", query(&text))))
}

/// Whether `output` is in a bucket, to which parts can be written.
#[cfg(feature = "sql")]
pub(crate) fn is_bucket(output: &str) -> bool {
    let buckets = ["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"];
    output.split_once("://").is_some_and(|(scheme, _)| buckets.contains(&scheme))
}

/// [`refuse`] for an input.
fn refuse_input(input: &str) -> Result<()> {
    let is_table = |input: &str| [".parquet", ".csv", ".json", ".jsonl"].iter().any(|ending| input.ends_with(ending));
    refuse(input, |input| {
        let table = if is_table(input) { format!("'{input}'") } else { format!("images('{input}')") };
        format!("COPY (SELECT *, embed_image(image) AS embedding FROM {table}) TO 'out.parquet'")
    })
}

/// [`refuse`] for an output that is no folder in a bucket.
pub(crate) fn refuse_output(output: &str) -> Result<()> {
    let refused = refuse(output, |output| {
        format!("COPY (SELECT path, embed_image(image) AS embedding FROM images('photos/**')) TO '{output}'")
    });
    refused.map_err(|error| match error.hint_text() {
        Some(hint) if cfg!(feature = "sql") => {
            let hint = format!("{hint}\nor name a folder in the bucket, for parts: a name that ends with /");
            error.hint(hint)
        }
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_refused_with_the_query_that_reaches_it() {
        let error = is_fetched("s3://bucket/photos/**", true).unwrap_err();
        assert!(error.hint_text().unwrap().contains("FROM images('s3://bucket/photos/**')"), "{error}");
        let error = is_fetched("gs://bucket/shard-*.parquet", true).unwrap_err();
        assert!(error.hint_text().unwrap().contains("FROM 'gs://bucket/shard-*.parquet'"), "{error}");
        let error = refuse_output("az://container/e.parquet").unwrap_err();
        assert!(error.hint_text().unwrap().contains("TO 'az://container/e.parquet'"), "{error}");
        for local in ["photos", "photos/**", "-", "./odd://name"] {
            assert!(!is_fetched(local, true).unwrap());
        }
    }

    #[test]
    fn images_are_fetched_if_that_is_allowed_and_other_files_are_not() {
        assert!(is_fetched("https://h/x.jpg?a=b.txt", true).unwrap() && is_fetched("HTTP://h", true).unwrap());
        let error = is_fetched("https://me:canary@h/x.jpg?sig=canary", false).unwrap_err();
        assert!(error.hint_text().unwrap().contains("--allow-urls"), "{error}");
        for address in ["https://me:canary@h/x.jpg", "https://h/t.parquet?sig=canary", "https://h/list.txt?sig=canary"]
        {
            assert!(!is_fetched(address, false).unwrap_err().to_string().contains("canary"), "{address}");
        }
        assert!(is_fetched("https://h/t.parquet", true).is_err() && is_fetched("https://h/list.txt", true).is_err());
    }
}
