//! `imbed sql` in a program that was built without it.

use imbed::core::{Error, ErrorKind};

use crate::{
    args::SqlArgs,
    exit::{Failure, Outcome},
};

pub(crate) fn run(_: &SqlArgs) -> Outcome {
    Err(Failure::Usage(
        Error::new(ErrorKind::Unsupported, "this program was built without SQL")
            .hint("build it with the Cargo feature 'sql': cargo build --release --features sql"),
    ))
}
