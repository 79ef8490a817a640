//! Compiles the calls of libtorch that tch has not, and says where the shared libraries are that tests and examples load.

use std::{env, path::PathBuf};

const SOURCES: [&str; 2] = ["src/inference_mode.cpp", "src/pinned.cpp"];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    // torch-sys found libtorch, by LIBTORCH or LIBTORCH_USE_PYTORCH, or the build would have ended there.
    let Some(libraries) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else { return };
    let include = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| libraries.join(".."), PathBuf::from).join("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(include)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .warnings(false)
        .files(SOURCES)
        .compile("imbed_libtorch");
    // A shared library's path in the program is kinder than a variable. It holds for this crate's own tests and examples;
    // a program that links the crate sets its own.
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "unix") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libraries.display());
    }
    println!("cargo::metadata=LIBRARIES={}", libraries.display());
}
