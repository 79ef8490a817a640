//! Compiles the kernels for NVIDIA GPUs, where the feature `cuda` asks for them, to PTX, which the driver compiles for the GPU that is there.

use std::{env, path::PathBuf, process::Command};

const SOURCE: &str = "src/tensors/cuda/kernels.cu";
/// The oldest GPUs that CUDA 13 compiles for; newer ones run the same PTX.
const OLDEST: &str = "75";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    for name in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    let given = env::var_os("NVCC").map(PathBuf::from);
    let nvcc = given.or_else(|| env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("bin/nvcc")));
    let nvcc = nvcc.filter(|path| path.is_file()).unwrap_or_else(|| "nvcc".into());
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| OLDEST.to_owned());
    let folder = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    let mut command = Command::new(&nvcc);
    command.args(["-ptx", "-std=c++17", "-O3", SOURCE, "-o"]).arg(folder.join("kernels.ptx"));
    command.arg(format!("-arch=compute_{}", capability.trim().replace('.', "")));
    let failed = match command.status() {
        Ok(status) if status.success() => return,
        Ok(status) => format!("{} failed ({status})", nvcc.display()),
        Err(error) => format!("{} cannot be started: {error}", nvcc.display()),
    };
    println!("cargo::error={failed}; the feature cuda needs the CUDA toolkit: set CUDA_HOME to its folder");
}
