//! What imbed reads of strangers, as functions from bytes to nothing: they must return, whatever the bytes are.
//!
//! Each [`Target`] has seeds of our own making and is run in two ways: by libFuzzer, one program for each in `fuzz_targets/`,
//! and by the program `replay`, which mutates the seeds itself and needs no special compiler. What is wrong is told by a panic:
//! an image that breaks a limit, an error of a kind that hostile input must not be, a panic that was caught.

mod images;
mod mutate;
mod seeds;
mod texts;

pub use mutate::{Random, mutated};

/// One thing that reads bytes of strangers.
pub struct Target {
    /// As the program of `fuzz_targets/` is called.
    pub name: &'static str,
    /// Reads bytes.
    pub run: fn(&[u8]),
    /// Bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "decode_jpeg", run: images::jpeg, seeds: seeds::jpeg },
    Target { name: "decode_png", run: images::png, seeds: seeds::png },
    Target { name: "decode_gif", run: images::gif, seeds: seeds::gif },
    Target { name: "decode_webp", run: images::webp, seeds: seeds::webp },
    Target { name: "decode_bmp", run: images::bmp, seeds: seeds::bmp },
    Target { name: "decode_tiff", run: images::tiff, seeds: seeds::tiff },
    Target { name: "decode_ico", run: images::ico, seeds: seeds::ico },
    Target { name: "decode_pnm", run: images::pnm, seeds: seeds::pnm },
    Target { name: "decode_tga", run: images::tga, seeds: seeds::tga },
    Target { name: "decode_qoi", run: images::qoi, seeds: seeds::qoi },
    Target { name: "decode_hdr", run: images::hdr, seeds: seeds::hdr },
    Target { name: "decode_exr", run: images::exr, seeds: seeds::exr },
    Target { name: "decode_farbfeld", run: images::farbfeld, seeds: seeds::farbfeld },
    Target { name: "exif", run: images::exif, seeds: seeds::exif },
    Target { name: "decode_reduced", run: images::reduced, seeds: seeds::jpeg },
    Target { name: "preprocess", run: images::preprocess, seeds: seeds::all_images },
    Target { name: "safetensors", run: imbed_vision::fuzzing::safetensors, seeds: seeds::safetensors },
    Target { name: "torch", run: imbed_vision::fuzzing::torch, seeds: seeds::torch },
    Target { name: "onnx", run: texts::onnx, seeds: seeds::onnx },
    Target { name: "config_json", run: imbed_vision::fuzzing::config, seeds: seeds::configs },
    Target { name: "processor_json", run: texts::processor, seeds: seeds::processors },
    Target { name: "options", run: texts::options, seeds: seeds::options },
    Target { name: "openai_reply", run: texts::reply, seeds: seeds::replies },
    Target { name: "openai_headers", run: imbed_provider_openai::fuzzing::headers, seeds: seeds::headers },
    Target { name: "hub_listing", run: texts::listing, seeds: seeds::listings },
];

/// Runs the target called `name`.
///
/// # Panics
/// If something is wrong, which is what a fuzzer looks for.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this crate");
    (target.run)(input);
}
