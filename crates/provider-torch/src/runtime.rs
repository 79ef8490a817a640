//! The libtorch that the program was linked with: where it is, and whether it has CUDA.
//!
//! A linker keeps only the libraries that a program names symbols of, and CUDA's registers itself when it is loaded: nobody
//! names it, so it is opened here, before libtorch is first asked for a device.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use imbed_core::{Error, ErrorKind, Result};

/// The library that a program is linked with.
const CPU: &str = "libtorch_cpu.so";
/// The one that registers CUDA.
const CUDA: &str = "libtorch_cuda.so";

/// Whether libtorch comes with CUDA. The machine need have none.
pub(crate) fn has_cuda() -> bool {
    cuda_library().is_some()
}

/// Gets libtorch ready to be used. To be called before anything else of it.
pub(crate) fn start() {
    // What libtorch has for a device it asks once. Where a driver is, a later model may want the GPU.
    if Path::new("/dev/nvidiactl").exists() || Path::new("/dev/dxg").exists() {
        drop(load_cuda());
    }
}

/// The number of CUDA devices that libtorch sees; an error that says what is missing where there is none.
pub(crate) fn cuda_devices() -> Result<usize> {
    load_cuda()?;
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or_default();
    if count == 0 {
        return Err(Error::new(ErrorKind::Device, "libtorch has CUDA, but finds no device")
            .hint("check that the driver is installed (nvidia-smi) and CUDA_VISIBLE_DEVICES, or use --device cpu"));
    }
    Ok(count)
}

/// Loads CUDA's part of libtorch, once.
fn load_cuda() -> Result<()> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| match cuda_library() {
        Some(library) => open(library),
        None => Err(match libtorch() {
            Some(folder) => format!("{} has no {CUDA}: it is built for the processor alone", folder.display()),
            None => format!("{CUDA} was not found beside {CPU}"),
        }),
    });
    loaded.clone().map_err(|why| {
        Error::new(ErrorKind::Device, format!("libtorch cannot use CUDA: {why}")).hint(
            "link a libtorch of CUDA, by LIBTORCH or LIBTORCH_USE_PYTORCH, with the libraries that it needs beside it; or use \
             --device cpu",
        )
    })
}

fn cuda_library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(|| libtorch().map(|folder| folder.join(CUDA)).filter(|path| path.is_file())).as_deref()
}

/// The folder of the libtorch in this process.
fn libtorch() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    folder_of(CPU, &maps)
}

/// The folder of `library` in a process's table of mapped files.
fn folder_of(library: &str, maps: &str) -> Option<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    paths
        .filter(|path| path.file_name().is_some_and(|name| name == library))
        .find_map(|path| path.parent().map(Path::to_owned))
}

#[cfg(target_os = "linux")]
fn open(path: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    // SAFETY: opening runs the library's constructors. It is the one that belongs to the libtorch that this program already
    // runs, and registering itself is what they are for.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(|e| e.to_string())?;
    // What it registered stays in use until the program ends.
    std::mem::forget(library);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn open(path: &Path) -> Result<(), String> {
    Err(format!("{} is opened on Linux only", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_among_the_mapped_files() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 12  /usr/lib/libc.so.6\n\
                    7f02-7f03 rw-p 00000000 00:00 0 \n\
                    7f04-7f05 r-xp 00000000 08:01 13  /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(folder_of(CPU, maps), Some(PathBuf::from("/opt/my torch/lib")));
        assert_eq!(folder_of(CUDA, maps), None);
    }

    #[test]
    fn the_libtorch_of_this_process_is_found() {
        assert!(tch::get_num_threads() > 0);
        assert!(libtorch().is_some_and(|folder| folder.join(CPU).is_file()));
    }

    #[test]
    fn cuda_that_is_missing_says_what_is_and_what_to_do() {
        if has_cuda() && cuda_devices().is_ok() {
            return;
        }
        let error = cuda_devices().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device);
        assert!(error.message().contains("CUDA") && error.hint_text().unwrap().contains("--device cpu"), "{error}");
    }
}
