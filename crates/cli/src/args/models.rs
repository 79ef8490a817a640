//! What a user may type after `imbed models`.

use clap::{Args, Subcommand};

use super::values::name_and_value;

// Lines of at most 79 characters: they are printed as they stand.

const MODELS_EXAMPLES: &str = "\
Examples:
  imbed models                                     # what --model takes
  imbed models pull openai/clip-vit-base-patch32   # download, or bring up to date
  imbed models list
  imbed models verify
  imbed models remove openai/clip-vit-base-patch32

The cache is the one that Python's Hugging Face libraries use: HF_HOME,
HF_HUB_CACHE. HF_ENDPOINT names another hub, HF_TOKEN says who asks, and
HF_HUB_OFFLINE=1 forbids downloads.";

const PULL_HELP: &str = "\
What was downloaded before an interruption is kept and not fetched again.

Exit codes:
  0 the model is here; 2 there is no such model, or the name is wrong;
  3 the download failed; 130 stopped

The object that --json prints:
  name, revision, commit, folder, files [name], bytes, downloaded_bytes; or
  name, builtin for a model inside the program";

const LIST_HELP: &str = "\
The array that --json prints has for each model and commit:
  name, commit, revisions [name], bytes, complete, missing [file], last_used
  (seconds since 1970, or null), folder";

const VERIFY_HELP: &str = "\
Exit codes:
  0 every file is what its checksum says; 1 some are not; 2 there is no such
  model in the cache; 3 the cache cannot be read

The array that --json prints has for each model:
  name, whole (a number of files), bytes, broken [{path, why}], unchecked [path]";

const REMOVE_HELP: &str = "\
The object that --json prints:
  name, folder, bytes";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = MODELS_EXAMPLES)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ModelsCommand>,

    /// Of this provider only
    #[arg(long)]
    pub(crate) provider: Option<String>,

    /// Print one JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Download a model from the hub, or bring it up to date
    Pull(PullArgs),
    /// List the models in the cache: revision, size, whether they are complete, when they were last used
    List(ListArgs),
    /// Hash the files of the cache again and name those that are broken
    Verify(VerifyArgs),
    /// Remove a model from the cache, with all its revisions
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
#[command(after_help = PULL_HELP)]
pub(crate) struct PullArgs {
    /// org/name or org/name@revision
    pub(crate) name: String,

    /// A branch, a tag or a commit [default: main]
    #[arg(long)]
    pub(crate) revision: Option<String>,

    /// The provider whose files are downloaded; see `imbed providers` [default: the local one]
    #[arg(long)]
    pub(crate) provider: Option<String>,

    /// Which of a model's files, for a provider that chooses by the number type, such as onnx
    #[arg(long)]
    pub(crate) dtype: Option<String>,

    /// An option of that provider that chooses files; may be repeated
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) options: Vec<(String, String)>,

    /// Download nothing: only look whether all files are here
    #[arg(long)]
    pub(crate) offline: bool,

    /// Print errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = LIST_HELP)]
pub(crate) struct ListArgs {
    /// Print one JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct VerifyArgs {
    /// org/name [default: every model]
    pub(crate) name: Option<String>,

    /// Print one JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = REMOVE_HELP)]
pub(crate) struct RemoveArgs {
    /// org/name
    pub(crate) name: String,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
