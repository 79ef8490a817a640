//! Decodes image files to RGB, for comparison with other decoders.
//!
//! ```sh
//! cargo run -p imbed-core --example decode_rgb -- [--icc] [--frame N] [--allow-truncated] [--at-least WIDTHxHEIGHT] FILE…
//! ```
//!
//! For each file one line of JSON is written to standard output, and after it, where the file was decoded, its pixels:
//! `width * height * 3` bytes. The line holds the mode and the size, or the kind and the message of the error; the format that
//! the content says; the time in microseconds; and, on Linux, the most memory that the process has held so far, in kilobytes.

use std::{
    io::{self, Write},
    time::Instant,
};

use imbed_core::{
    Error, ErrorKind, Result,
    image::{DecodeOptions, Format, decode, sniff},
    options::{Alpha, Icc},
    preprocess::Size,
};
use serde_json::json;

fn main() -> Result<()> {
    let mut options = DecodeOptions::default();
    let mut out = io::stdout().lock();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--icc" => options.icc = Icc::Srgb,
            "--allow-truncated" => options.allow_truncated = true,
            "--frame" => {
                let number = arguments.next().and_then(|n| n.parse().ok());
                options.frame = number.ok_or_else(|| Error::new(ErrorKind::BadOption, "--frame takes a number"))?;
            }
            "--at-least" => {
                let size = arguments.next().as_deref().and_then(size);
                options.at_least =
                    Some(size.ok_or_else(|| Error::new(ErrorKind::BadOption, "--at-least takes WIDTHxHEIGHT"))?);
            }
            path => {
                report(path, &options, &mut out).map_err(|e| Error::new(ErrorKind::Io, e.to_string()).context(path))?;
            }
        }
    }
    Ok(())
}

fn size(text: &str) -> Option<Size> {
    let (width, height) = text.split_once('x')?;
    Some(Size { height: height.parse().ok()?, width: width.parse().ok()? })
}

fn report(path: &str, options: &DecodeOptions, out: &mut impl Write) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let started = Instant::now();
    let decoded = decode(&bytes, options);
    let micros = started.elapsed().as_micros() as u64;
    let mut line = json!({
        "path": path,
        "format": sniff(&bytes).map(Format::as_str),
        "micros": micros,
        "peak_kb": peak_memory(),
    });
    match decoded {
        Ok(image) => {
            line["mode"] = image.mode().as_str().into();
            line["size"] = json!([image.width(), image.height()]);
            writeln!(out, "{line}")?;
            out.write_all(&image.to_rgb8(Alpha::Drop))
        }
        Err(error) => {
            line["kind"] = error.kind().as_str().into();
            line["message"] = error.message().into();
            writeln!(out, "{line}")
        }
    }
}

/// The most memory that this process has held, in kilobytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
