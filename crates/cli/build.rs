//! With the Cargo feature `torch`, the program finds libtorch's shared libraries where the build found them, without a variable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let unix = std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "unix");
    if let (Ok(libraries), true) = (std::env::var("DEP_IMBED_TORCH_LIBRARIES"), unix) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
    }
}
