//! What a user may type.

mod cluster;
mod embed;
mod messages;
mod models;
mod sql;
mod urls;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use cluster::{ClusterArgs, OnCluster};
#[cfg(feature = "cluster")]
pub(crate) use cluster::{ClusterCommand, ExecutorArgs, SchedulerArgs};
pub(crate) use embed::{EmbedArgs, ImageArgs, InputArgs, OutputArgs, OutputFormat};
pub(crate) use messages::{LogArgs, LogFormat, LogLevel, MessageArgs};
pub(crate) use models::{ListArgs, ModelsArgs, ModelsCommand, PullArgs, RemoveArgs, VerifyArgs};
pub(crate) use sql::SqlArgs;
pub(crate) use urls::UrlArgs;

// Lines of at most 79 characters: they are printed as they stand.

const INSPECT_EXAMPLES: &str = "\
Examples:
  imbed inspect photos.parquet
  imbed inspect photos.parquet --rows 20
  imbed inspect photos.parquet --json | jq .embedding.norms
  imbed inspect monday.parquet tuesday.parquet   # may they be compared?

Exit codes: 0; with two files, 1 if their vectors may not be compared; 2, 3 as
elsewhere

The object that --json prints:
  file, format, bytes, rows, columns [{name, type, nullable}], embedding
  {column, provenance {provider, model, normalized, weights, version, options,
  recipe}, dimensions, nulls, not_finite, norms {min, mean, max}, first [{row, key,
  vector}]}; embedding is null where there is no column of vectors.
With two files: files [{file, column, dimensions, provenance}], comparable,
reasons [], cautions []";

const SIMILAR_EXAMPLES: &str = "\
Examples:
  imbed similar photos.parquet --to holiday/beach.jpg --top 10
  imbed similar photos.parquet --to beach.jpg    # the end of a path is enough
  imbed similar photos.parquet --to ~/new.jpg    # not in the table: embedded
                                                 # with the column's own model
  imbed similar photos.parquet --row 17 --json

The object that --json prints:
  query {row, key} or {image}, neighbours [{rank, cosine, row, key}]";

#[derive(Debug, Parser)]
#[command(name = "imbed", version, arg_required_else_help = true, max_term_width = 120)]
#[command(after_help = "Start with:\n  imbed embed photos -o photos.parquet\n  imbed inspect photos.parquet\n  \
                        imbed similar photos.parquet --to photos/one.jpg")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) logs: LogArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Embed images: folders, patterns, files, lists of paths, tables
    Embed(Box<EmbedArgs>),
    /// Show a table's schema and its embedding column: what made it, norms, nulls, the first vectors
    Inspect(InspectArgs),
    /// Find the rows nearest to an image or a row, by cosine
    Similar(SimilarArgs),
    /// Query images and tables in SQL, with functions that decode, resize, embed and compare
    #[cfg_attr(not(feature = "sql"), command(hide = true))]
    Sql(SqlArgs),
    /// Run the processes of a cluster, which `sql --cluster` and `embed --cluster` use
    #[cfg_attr(not(feature = "cluster"), command(hide = true))]
    Cluster(ClusterArgs),
    /// List the providers of this program
    Providers(ProvidersArgs),
    /// List the models that need no path, and say what else may be passed as --model; download, list, verify, remove
    Models(ModelsArgs),
}

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// A Parquet, Arrow IPC, CSV, JSON lines or .npy file, or a folder of Parquet files; or two, to learn whether their vectors
    /// may be compared
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// How many vectors to draw
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rows: usize,

    /// The column of vectors [default: the one that imbed made, or the only one]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) column: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = SIMILAR_EXAMPLES)]
#[command(group = clap::ArgGroup::new("query").required(true).args(["to", "row"]))]
pub(crate) struct SimilarArgs {
    /// A table with a column of vectors: a file, or a folder of Parquet files
    pub(crate) file: PathBuf,

    /// A value of the key column or the end of its path, or an image file
    #[arg(long, value_name = "IMAGE_OR_KEY")]
    pub(crate) to: Option<String>,

    /// A row of the table, from 0
    #[arg(long, value_name = "N")]
    pub(crate) row: Option<u64>,

    /// How many neighbours
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) top: usize,

    /// The column of vectors [default: the one that imbed made, or the only one]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) column: Option<String>,

    /// The column that names rows [default: path, or the first column of text or numbers]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProvidersArgs {
    /// Print one JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_errors_column_does_not_swallow_the_next_input() {
        let cli =
            Cli::try_parse_from(["imbed", "embed", "--errors-column", "photos", "-o", "x.parquet", "--normalize"])
                .unwrap();
        let Command::Embed(args) = cli.command else { panic!() };
        assert_eq!(args.inputs, ["photos"]);
        assert_eq!(args.failures.errors_column.as_deref(), Some("error"));
        assert_eq!(args.model.normalize.as_deref(), Some("true"));
    }

    #[test]
    fn only_explain_needs_no_output() {
        assert!(Cli::try_parse_from(["imbed", "embed", "photos"]).is_err());
        assert!(Cli::try_parse_from(["imbed", "embed", "photos", "--explain"]).is_ok());
    }
}
