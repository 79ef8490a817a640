//! Compiles the guard of libtorch's inference mode, and says where the shared libraries are that tests and examples load.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src/inference_mode.cpp");
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
        .file("src/inference_mode.cpp")
        .compile("imbed_inference_mode");
    // A shared library's path in the program is kinder than a variable. It holds for this crate's own tests and examples;
    // a program that links the crate sets its own.
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "unix") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libraries.display());
    }
    println!("cargo::metadata=LIBRARIES={}", libraries.display());
}
