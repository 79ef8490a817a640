#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| imbed_fuzz::run("decode_reduced", input));
