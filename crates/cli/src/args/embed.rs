//! What a user may type after `imbed embed`.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    MessageArgs, OnCluster, UrlArgs,
    values::{name_and_value, seconds, size},
};

// Lines of at most 79 characters: they are printed as they stand.

const EMBED_EXAMPLES: &str = "\
Inputs, mixed as you like:
  photos/           a folder and its subfolders, sorted; files without an image
                    extension are skipped and counted
  'shots/**/*.jpg'  a pattern, in quotes
  photo.jpg         one file, whatever its name
  list.txt, -       one path per line (also .list; - is standard input); blank
                    lines and lines that start with # are skipped
  t.parquet         a table with a column of encoded images or of paths; also
                    .arrow, .csv, .tsv, .jsonl
  https://…/x.jpg   an image by address, with --allow-urls; lists and tables may
                    hold addresses where paths stand

Examples:
  imbed embed photos -o photos.parquet
  imbed embed 'shots/**/*.jpg' --model ./clip-vit-base-patch32 -o shots.parquet
  imbed embed t.parquet --column image --key sku --on-error ignore \\
      --errors-column -o out.parquet
  find . -name '*.png' | imbed embed - -o - | jq .path
  imbed embed photos --model ./clip-vit-base-patch32 --explain
  imbed embed photos --model openai/clip-vit-base-patch32 -o photos.parquet
  imbed embed photos --cache vectors -o photos.parquet  # again: only new images
  imbed embed photos -o photos.parquet --resume  # goes on where a run ended
  imbed embed photos -o embeddings/ --resume     # a folder of parts, kept up to
                                                 # date: only what is new
  imbed embed urls.txt --allow-urls --on-error log -o out.parquet

Exit codes:
  0 all well; 1 some rows failed and are null; 2 refused before any work;
  3 failed; 130 stopped. After 3 and 130 there is no output, or of Parquet the
  parts that were done: the message says how to go on

The object that --json prints:
  rows, embedded, nulls, failed, errors {kind: count} (of the whole output),
  resumed (of the rows: kept from earlier runs), parts (null if not in parts),
  error_examples, skipped_files {total, by_extension}, seconds, images_per_second,
  stages {read_seconds, fetch_seconds, decode_seconds, preprocess_seconds,
  model_seconds, model_load_seconds, write_seconds} (summed over threads),
  bytes_read, fetched, fetch_retries, batches,
  retries, halvings, copies (of the embedded: images of an earlier row), cached
  (of the embedded: from --cache), cache_failure (null if all is well), provider,
  model, dimensions, outputs [{path, bytes}]";

#[derive(Debug, Args)]
#[command(after_help = EMBED_EXAMPLES)]
pub(crate) struct EmbedArgs {
    /// Folders, 'patterns', image files, lists of paths (.txt, .list, - for standard input), tables, addresses
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) image: ImageArgs,

    #[command(flatten)]
    pub(crate) urls: UrlArgs,

    #[command(flatten)]
    pub(crate) failures: FailureArgs,

    #[command(flatten)]
    pub(crate) resources: ResourceArgs,

    #[command(flatten)]
    pub(crate) reuse: ReuseArgs,

    #[command(flatten)]
    pub(crate) on: OnCluster,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// The column with encoded images or paths, in tables [default: the only binary column, or one named image, path, …]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) column: Option<String>,

    /// The column that identifies a row: it comes first in the output and names rows in messages
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key: Option<String>,

    /// Carry the column of encoded images to the output too, instead of dropping it
    #[arg(long)]
    pub(crate) keep_image: bool,

    /// Embed the first N rows only
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// The file to write; its extension (.parquet, .arrow, .jsonl, .npy) says the format; - is JSON lines on standard output;
    /// a name that ends with / is a folder of Parquet files
    #[arg(short, long, value_name = "FILE", required_unless_present = "explain")]
    pub(crate) output: Option<String>,

    /// The format, whatever the extension says
    #[arg(long, value_enum)]
    pub(crate) format: Option<OutputFormat>,

    /// Replace the output if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Go on with a Parquet output: keep the rows that are there and embed those that are missing, new or changed
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,

    /// With --resume, embed parts that hold failed rows again
    #[arg(long, requires = "resume")]
    pub(crate) retry_failed: bool,

    /// Commit a part of a Parquet output once it has N rows [default: 4096; sooner if rows are large, or after 30 seconds]
    #[arg(long, value_name = "N")]
    pub(crate) part_rows: Option<std::num::NonZeroU64>,

    /// The name of the column of vectors
    #[arg(long, value_name = "NAME", default_value = "embedding")]
    pub(crate) output_column: String,
}

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Parquet, compressed with Zstandard
    Parquet,
    /// An Arrow IPC file (Feather 2)
    Arrow,
    /// One JSON object per line
    Jsonl,
    /// float32 [rows, dimensions], NaN where a row is null; other columns go to NAME.keys.parquet
    Npy,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// The provider that runs the model; see `imbed providers`
    #[arg(long)]
    pub(crate) provider: Option<String>,

    /// The model: a folder with a checkpoint, a name on the hub (org/name[@revision]), or a name from `imbed models`
    #[arg(long)]
    pub(crate) model: Option<String>,

    /// Download nothing: a model that is not here is an error
    #[arg(long)]
    pub(crate) offline: bool,

    /// Any option by name, also a provider's own; may be repeated
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) options: Vec<(String, String)>,

    /// Scale every vector to unit length [default: as the model gives it]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) normalize: Option<String>,

    /// Keep this many leading numbers of each vector, scaled to unit length again (Matryoshka models)
    #[arg(long, value_name = "N")]
    pub(crate) dimensions: Option<String>,

    /// How tokens become one vector, for models that leave it open: cls, mean, pooler [default: the model's own]
    #[arg(long)]
    pub(crate) pooling: Option<String>,

    /// Embed at this height and width in pixels, for models that can [default: the model's own]
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<String>,

    /// The number type of the arithmetic: f32, bf16, f16, int8, or auto: the fastest on this processor whose
    /// vectors stay close to f32's [default: the provider's for the device, f32 on a processor]
    #[arg(long)]
    pub(crate) dtype: Option<String>,

    /// Read provider, model and options from this file [default: imbed.toml, if there is one here]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct ImageArgs {
    /// What becomes of transparency: drop, white, black or #rrggbb [default: drop]
    #[arg(long)]
    pub(crate) alpha: Option<String>,

    /// Turn each image upright as its EXIF orientation says [default: true]
    #[arg(long, value_name = "BOOL")]
    pub(crate) exif_orientation: Option<String>,

    /// An embedded colour profile: ignore, or srgb to convert colours [default: ignore]
    #[arg(long, value_name = "ignore|srgb")]
    pub(crate) icc: Option<String>,

    /// Which frame of an animation or page of a document, from 0 [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) frame: Option<String>,

    /// JPEGs larger than the model needs: exact decodes them whole as PIL does, fast at 1/2, 1/4 or 1/8 [default: exact]
    #[arg(long, value_name = "exact|fast")]
    pub(crate) decode: Option<String>,

    /// Refuse images with more pixels than this [default: 178956970]
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) max_pixels: Option<u64>,

    /// Refuse images with a longer side than this, in pixels [default: 65535]
    #[arg(long, value_name = "N")]
    pub(crate) max_side: Option<u32>,

    /// Refuse encoded images larger than this; k, M and G may be used [default: 512M]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_bytes: Option<u64>,

    /// Refuse images that take more memory than this to decode and turn into RGB; k, M and G may be used [default: 384M]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_alloc: Option<u64>,

    /// Give up images that take longer than this to decode, in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_seconds: Option<Duration>,

    /// Take images whose file ends early, with the missing part grey
    #[arg(long)]
    pub(crate) allow_truncated: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Rows that fail")]
pub(crate) struct FailureArgs {
    /// raise: stop; log: make the row null and say so; ignore: make the row null and count it [default: raise]
    #[arg(long, value_name = "raise|log|ignore")]
    pub(crate) on_error: Option<String>,

    /// Add a column with the reason of each failed row, called error unless named; needs --on-error log or ignore
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "error")]
    pub(crate) errors_column: Option<String>,

    /// Further tries after a temporary failure [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) max_retries: Option<String>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Resources")]
pub(crate) struct ResourceArgs {
    /// Images per call of the model [default: the plan chooses]
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<String>,

    /// Where the model runs: auto, cpu, cuda, cuda:N, metal, metal:N [default: auto]
    #[arg(long)]
    pub(crate) device: Option<String>,

    /// Model workers, or requests in flight [default: the plan chooses]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<String>,

    /// GPUs per worker: a whole number, or a fraction below 1 to share one [default: 1 on a GPU]
    #[arg(long, value_name = "X")]
    pub(crate) num_gpus: Option<String>,

    /// Threads that read, decode and preprocess [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Work that is not done twice")]
pub(crate) struct ReuseArgs {
    /// Keep vectors in this folder, and take those of images that earlier runs embedded from there
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,

    /// Keep no vectors, whatever the configuration says
    #[arg(long, conflicts_with = "cache")]
    pub(crate) no_cache: bool,

    /// Embed every row, although an earlier one of the run may have the same image
    #[arg(long)]
    pub(crate) no_dedupe: bool,
}
