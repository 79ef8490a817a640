//! What a user may type after `imbed sql`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{OnCluster, values::name_and_value};

// Lines of at most 79 characters: they are printed as they stand.

const SQL_EXAMPLES: &str = "\
Tables in a query:
  images('photos/**')    a folder, a pattern or a file: path, size, modified,
                         format, image (the file itself, read only if asked for)
  'out.parquet'          a .parquet, .csv or .json (lines) file, in quotes
  's3://bucket/x-*.parquet', images('s3://bucket/photos/**')
                         the same in a bucket: s3://, gs://, az://, https://;
                         credentials from the environment (AWS_ACCESS_KEY_ID, …)
  t                      what --table t=out.parquet named

Functions beside those of SQL: embed_image, decode_image, convert_image,
resize_image, crop_image, encode_image, image_width, image_height,
image_channels, image_mode, cosine_similarity, cosine_distance, dot_product,
euclidean_distance, l2_normalize. Options of embed_image are named:
  embed_image(image, model => './clip', normalize => true, on_error => 'log')

Examples:
  imbed sql \"COPY (SELECT path, embed_image(image) AS embedding
             FROM images('photos/**')) TO 'photos.parquet'\"
  imbed sql \"SELECT path, size FROM images('photos') WHERE size > 1000000\"
  imbed sql --table t=photos.parquet \"SELECT a.path, b.path,
             cosine_similarity(a.embedding, b.embedding) AS s FROM t a JOIN t b
             ON a.path < b.path ORDER BY s DESC LIMIT 20\"
  imbed sql --table t=photos.parquet \"DESCRIBE t\"
  imbed sql \"EXPLAIN SELECT embed_image(image) FROM images('photos')\"

COPY replaces a file that exists; it is written whole or not at all. Several
statements are separated by semicolons; - reads them from standard input.

Exit codes:
  0 all well; 1 some rows failed and are null; 2 the query was refused before any
  work; 3 it failed; 130 stopped

What --json prints: one object per row; numbers of vectors in full, bytes as
hexadecimal digits.";

#[derive(Debug, Args)]
#[command(after_help = SQL_EXAMPLES)]
#[cfg_attr(not(feature = "sql"), allow(dead_code))]
pub(crate) struct SqlArgs {
    /// One or more statements; - reads them from standard input
    pub(crate) query: String,

    /// Give a Parquet, CSV or JSON lines file, or a folder of them, a name to be used in the query; may be repeated
    #[arg(long = "table", value_name = "NAME=FILE", value_parser = name_and_value)]
    pub(crate) tables: Vec<(String, String)>,

    /// Print at most so many rows of a result, as a table
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) rows: usize,

    /// Print all rows, one JSON object each
    #[arg(long, conflicts_with = "rows")]
    pub(crate) json: bool,

    /// Print results and errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Download nothing: a model that is not here is an error
    #[arg(long)]
    pub(crate) offline: bool,

    /// Read provider, model and options from this file [default: imbed.toml, if there is one here]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Serve the counters of the models to Prometheus at /metrics of this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_addr: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) on: OnCluster,
}
