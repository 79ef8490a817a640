//! What `cargo xtask bench` needs of imbed itself, one task a process. Each prints one line of JSON.
//!
//! ```sh
//! cargo run --release -p imbed --example bench -- checkpoint clip-vit-b32 DIR     # seeded weights of full size
//! cargo run --release -p imbed --example bench -- photos DIR 320                  # pictures of 500 x 375, as JPEG
//! cargo run --release -p imbed --example bench -- prepare MODEL PHOTOS SECONDS [NAME=VALUE…]
//! cargo run --release -p imbed --example bench -- model MODEL BATCH SECONDS [NAME=VALUE…]
//! ```
//!
//! `prepare` runs the engine with a model that does nothing, on files to the bytes that a model is given; `model` runs
//! the model alone, on bytes that are there. `NAME=VALUE` is any option of `imbed embed`, such as `dtype=bf16`, and
//! `provider=NAME`.

mod checkpoint;
mod model;
mod photos;
mod prepare;
mod random;
mod tensors;

use imbed::core::{
    Error, ErrorKind, ImageEmbedderDescriptor, Registry, Result, Session, options::OptionMap, session::Request,
};
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = match words.as_slice() {
        ["checkpoint", name, folder] => checkpoint::write(name, folder.as_ref()),
        ["photos", folder, count] => number(count).and_then(|count| photos::write(folder.as_ref(), count)),
        ["prepare", model, photos, seconds, options @ ..] => {
            number(seconds).and_then(|seconds| prepare::measure(resolve(model, options)?, photos, seconds as f64))
        }
        ["model", model, batch, seconds, options @ ..] => {
            number(batch).and_then(|batch| model::measure(&*resolve(model, options)?, batch, number(seconds)? as f64))
        }
        _ => Err(wrong("no such task")),
    };
    match said {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The model that `imbed embed --model MODEL --option NAME=VALUE…` would run.
fn resolve(model: &str, options: &[&str]) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
    let mut request = Request { provider: None, model: Some(model.to_owned()), options: OptionMap::default() };
    for option in options {
        match option.split_once('=').ok_or_else(|| wrong(format!("'{option}' is not NAME=VALUE")))? {
            ("provider", name) => request.provider = Some(name.to_owned()),
            (name, value) => request.options.set(name, value),
        }
    }
    Ok(Session::new(Registry::linked()).resolve(&request)?.descriptor)
}

fn number(text: &str) -> Result<usize> {
    let number: usize = text.parse().map_err(|e| wrong(format!("'{text}': {e}")))?;
    if number == 0 { Err(wrong("a number is at least 1")) } else { Ok(number) }
}

fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadOption, why).hint(
        "checkpoint NAME DIR | photos DIR COUNT | prepare MODEL PHOTOS SECONDS [NAME=VALUE…] | \
         model MODEL BATCH SECONDS [NAME=VALUE…]",
    )
}
