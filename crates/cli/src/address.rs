//! Addresses where `imbed embed` takes files: buckets are read and written by SQL alone.

use imbed::core::{Error, ErrorKind, Result};

/// Refuses `text` if it is an address such as `s3://bucket/photos/**`, and says how to reach it. `query` is the statement to use.
pub(crate) fn refuse(text: &str, query: impl Fn(&str) -> String) -> Result<()> {
    let Some((scheme, _)) = text.split_once("://") else { return Ok(()) };
    if !["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "http", "https"].contains(&scheme) {
        return Ok(());
    }
    // What follows may be a signature.
    let text = if scheme.starts_with("http") { text.split('?').next().unwrap_or(text) } else { text };
    let built = if cfg!(feature = "sql") { "" } else { " (built with the Cargo feature 'sql')" };
    let refused = Error::new(ErrorKind::BadInput, format!("{text}: this command works on files of this machine"));
    Err(refused.hint(format!("buckets are reached by `imbed sql`{built}: imbed sql \"{}\"", query(text))))
}

/// Whether `output` is in a bucket, to which parts can be written.
#[cfg(feature = "sql")]
pub(crate) fn is_bucket(output: &str) -> bool {
    let buckets = ["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"];
    output.split_once("://").is_some_and(|(scheme, _)| buckets.contains(&scheme))
}

/// [`refuse`] for an input.
pub(crate) fn refuse_input(input: &str) -> Result<()> {
    let is_table = [".parquet", ".csv", ".json", ".jsonl"].iter().any(|ending| input.ends_with(ending));
    refuse(input, |input| {
        let table = if is_table { format!("'{input}'") } else { format!("images('{input}')") };
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
        let error = refuse_input("s3://bucket/photos/**").unwrap_err();
        assert!(error.hint_text().unwrap().contains("FROM images('s3://bucket/photos/**')"), "{error}");
        let error = refuse_input("gs://bucket/shard-*.parquet").unwrap_err();
        assert!(error.hint_text().unwrap().contains("FROM 'gs://bucket/shard-*.parquet'"), "{error}");
        let error = refuse_output("az://container/e.parquet").unwrap_err();
        assert!(error.hint_text().unwrap().contains("TO 'az://container/e.parquet'"), "{error}");
        assert!(!refuse_input("https://h/x.jpg?sig=canary").unwrap_err().to_string().contains("canary"));
        for local in ["photos", "photos/**", "-", "./odd://name"] {
            refuse_input(local).unwrap();
        }
    }
}
