//! The table that `imbed embed --cluster` writes: what its inputs are, and which columns come of them.

use arrow_schema::{DataType, Schema};
use datafusion::{
    logical_expr::{Expr, ident, lit},
    prelude::{DataFrame, ParquetReadOptions, SessionContext},
};
use imbed::core::{
    Error, ErrorKind, Result,
    arrow::{BytesColumn, ImageColumn},
    session::Request,
};
use imbed_datafusion::{ImageContext, Imbed, cause, is_url, store_table};

use super::{connect, output::NO_IMAGE};
use crate::{
    args::EmbedArgs,
    exit::{Blame, Failure},
};

/// The rows that are written, on the cluster.
pub(super) async fn table(args: &EmbedArgs, imbed: &Imbed, request: &Request) -> Result<DataFrame, Failure> {
    let scheduler = args.on.cluster.as_deref().unwrap_or_default();
    let context = connect(imbed, scheduler, &args.on).await?;
    let source = source(&context, &args.inputs).await.opened()?;
    embedded(args, source, |image| imbed.embed(image, request)).usage()
}

/// The rows, and what is known of their images.
struct Source {
    table: DataFrame,
    /// They are files, listed with their paths, and not rows of tables.
    files: bool,
}

/// What `inputs` mean: tables, or places with images.
async fn source(context: &SessionContext, inputs: &[String]) -> Result<Source> {
    let is_table = |input: &&String| [".parquet", ".pq"].iter().any(|e| input.ends_with(e));
    let tables = inputs.iter().filter(is_table).count();
    if tables == inputs.len() {
        return Ok(Source { table: self::tables(context, inputs).await?, files: false });
    }
    let other = inputs.iter().find(|input| {
        let lists = [".txt", ".list", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".arrow", ".feather"];
        lists.iter().any(|end| input.ends_with(end))
    });
    if let Some(input) = other.or_else(|| inputs.iter().find(|input| *input == "-")) {
        return Err(Error::new(ErrorKind::BadInput, format!("{input}: a cluster reads Parquet tables and images"))
            .hint("make a Parquet table of it first"));
    }
    if tables > 0 {
        return Err(Error::new(ErrorKind::BadInput, "tables and images are mixed")
            .hint("embed them one after the other, into two folders"));
    }
    let mut all = Vec::new();
    for input in inputs {
        all.push(context.read_images(input).await.map_err(|e| cause(&e))?);
    }
    Ok(Source { table: union(all)?, files: true })
}

/// The rows of all `inputs`, which are Parquet tables here or in buckets.
async fn tables(context: &SessionContext, inputs: &[String]) -> Result<DataFrame> {
    let failed = |e: datafusion::error::DataFusionError| cause(&e);
    let (urls, paths): (Vec<&String>, Vec<&String>) = inputs.iter().partition(|input| is_url(input));
    let mut parts = Vec::new();
    if !paths.is_empty() {
        let options = ParquetReadOptions { file_extension: "", ..ParquetReadOptions::default() };
        let paths: Vec<String> = paths.into_iter().cloned().collect();
        parts.push(context.read_parquet(paths, options).await.map_err(failed)?);
    }
    for url in urls {
        let table = store_table(context, url).await.map_err(failed)?;
        parts.push(context.read_table(table).map_err(failed)?);
    }
    union(parts)
}

/// The rows of all `tables`.
fn union(tables: Vec<DataFrame>) -> Result<DataFrame> {
    let mut tables = tables.into_iter();
    let first = tables.next().ok_or_else(|| Error::new(ErrorKind::BadInput, "there is no input"))?;
    tables.try_fold(first, DataFrame::union).map_err(|e| cause(&e))
}

/// The table that is written: the key, the other columns, the vectors, and which rows had no image.
fn embedded(
    args: &EmbedArgs,
    Source { table, files }: Source,
    embed: impl Fn(Expr) -> datafusion::error::Result<Expr>,
) -> Result<DataFrame> {
    let schema = table.schema().inner().clone();
    let column = if files { "image".to_owned() } else { image_column(&schema, args.input.column.as_deref())? };
    let mut carried: Vec<&str> = if files {
        vec!["path"]
    } else {
        schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != column).collect()
    };
    if args.input.keep_image {
        carried.push(&column);
    }
    if let Some(key) = args.input.key.as_deref() {
        let place = carried.iter().position(|name| *name == key).ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("there is no column '{key}' to be the key"))
                .hint(format!("there are {}", carried.join(", ")))
        })?;
        carried[..=place].rotate_right(1);
    }
    let output = args.output.output_column.as_str();
    if carried.contains(&output) {
        return Err(Error::new(ErrorKind::BadInput, format!("there is a column '{output}' already"))
            .hint("choose another name with --output-column=NAME"));
    }
    let failed = |e: datafusion::error::DataFusionError| cause(&e);
    let vectors = embed(ident(column.as_str())).map_err(failed)?.alias(output);
    // A file of a folder is an image: if it cannot be read, that is a failure.
    let none = if files { lit(false) } else { ident(column.as_str()).is_null() };
    let columns = carried.into_iter().map(ident).chain([vectors, none.alias(NO_IMAGE)]);
    let table = match args.input.limit {
        Some(limit) => table.limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX))).map_err(failed)?,
        None => table,
    };
    table.select(columns.collect::<Vec<_>>()).map_err(failed)
}

/// The column called `asked`, or else the only one that holds images, or else the one called `image`.
fn image_column(schema: &Schema, asked: Option<&str>) -> Result<String> {
    let names = || schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
    if let Some(asked) = asked {
        return match schema.field_with_name(asked) {
            Ok(field) => Ok(field.name().clone()),
            Err(_) => Err(Error::new(ErrorKind::BadInput, format!("there is no column '{asked}'"))
                .hint(format!("there are {}", names()))),
        };
    }
    let holds = |field: &&arrow_schema::FieldRef| {
        BytesColumn::accepts(field.data_type()) || ImageColumn::accepts(field) || is_bytes_and_path(field.data_type())
    };
    let candidates: Vec<_> = schema.fields().iter().filter(holds).collect();
    match candidates.as_slice() {
        [only] => Ok(only.name().clone()),
        _ if schema.field_with_name("image").is_ok() => Ok("image".to_owned()),
        _ => Err(Error::new(ErrorKind::BadInput, "which column holds the images is not clear")
            .hint(format!("say so with --column NAME; there are {}", names()))),
    }
}

/// Whether this is how Hugging Face `datasets` stores images.
fn is_bytes_and_path(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(fields) if fields.find("bytes").is_some() && fields.find("path").is_some())
}
