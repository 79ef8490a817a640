//! Finding and opening ONNX Runtime's shared library, once per process.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use imbed_core::{Error, ErrorKind, Result};
use ort::environment::Environment;

/// The variable that names the library; other programs that use ONNX Runtime read it too.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The open library. It stays open: its threads and sessions may live as long as the process.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
/// Held while the library is opened.
static OPENING: Mutex<()> = Mutex::new(());

/// Opens ONNX Runtime's shared library at `path`, for programs that bring it along.
///
/// Without this call the library is opened when the first model is loaded: the file that `ORT_DYLIB_PATH` names, else the
/// one beside the program, else the one that the system's loader finds. One library serves the whole process: where one is
/// open already, it stays, and `path` is not looked at.
///
/// ```no_run
/// # fn main() -> imbed_core::Result<()> {
/// imbed_provider_onnx::use_library("/opt/my-program/lib/libonnxruntime.so")?;
/// # Ok(())
/// # }
/// ```
pub fn use_library(path: impl AsRef<Path>) -> Result<()> {
    open(|| Ok(path.as_ref().to_owned())).map(|_| ())
}

/// The shared library in `folder`, such as `libonnxruntime.so.1.32.0`, or `None` if there is none.
pub fn library_in(folder: &Path) -> Option<PathBuf> {
    let (stem, extension) = (format!("{}onnxruntime", env::consts::DLL_PREFIX), env::consts::DLL_EXTENSION);
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&stem));
        // `.so`, `.so.1.32.0`, `.1.32.0.dylib`; but not `_providers_shared.so`.
        name.is_some_and(|rest| rest.starts_with('.') && rest.split('.').any(|part| part == extension))
    };
    let mut found: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| is_library(path) && path.is_file());
    found.sort_unstable();
    found.into_iter().next()
}

/// ONNX Runtime, opened now if it is the first use.
pub(crate) fn environment() -> Result<&'static Environment> {
    open(|| {
        let variable = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let beside = env::current_exe().ok().and_then(|program| library_in(program.parent()?));
        choose(variable, beside)
    })
}

fn open(path: impl FnOnce() -> Result<PathBuf>) -> Result<&'static Environment> {
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let path = path()?;
    let builder = ort::init_from(&path).map_err(|e| not_opened(&path, &e.to_string()).source(e))?;
    let environment = builder
        .with_name("imbed")
        .with_telemetry(false)
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, format!("ONNX Runtime cannot be started: {e}")))?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// Which file to open: the variable's, that beside the program, or a name that the system's loader knows.
fn choose(variable: Option<PathBuf>, beside: Option<PathBuf>) -> Result<PathBuf> {
    let Some(path) = variable else {
        let name = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        return Ok(beside.unwrap_or_else(|| name.into()));
    };
    if path.is_dir() {
        let message = format!("{VARIABLE} names the folder {}, which holds no {}", path.display(), what());
        return library_in(&path).ok_or_else(|| Error::new(ErrorKind::Config, message).hint(how_to_get()));
    }
    if !path.is_file() {
        let message = format!("{VARIABLE} names {}, and there is no such file", path.display());
        return Err(Error::new(ErrorKind::Config, message).hint(how_to_get()));
    }
    // Absolute, as a name without a folder would be looked for elsewhere.
    path.canonicalize().map_err(|e| Error::io(path.display(), e))
}

fn what() -> String {
    format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

fn not_opened(path: &Path, why: &str) -> Error {
    let what = if path.is_absolute() { path.display().to_string() } else { format!("ONNX Runtime ({})", what()) };
    Error::new(ErrorKind::Config, format!("{what} cannot be opened: {why}")).hint(how_to_get())
}

fn how_to_get() -> String {
    format!(
        "get ONNX Runtime 1.{} or later, for example with `pip install onnxruntime` (onnxruntime-gpu for CUDA), and set \
         {VARIABLE} to the file onnxruntime/capi/{}* inside it",
        ort::MINOR_VERSION,
        what()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), b"").unwrap();
        }
        folder
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_library_of_a_folder_is_found_with_and_without_a_version() {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.32.0"] {
            let folder = folder(&["libonnxruntime_providers_shared.so", name, "onnxruntime.txt"]);
            assert_eq!(library_in(folder.path()).unwrap(), folder.path().join(name));
        }
        assert_eq!(library_in(folder(&["libonnxruntime_providers_shared.so"]).path()), None);
        assert_eq!(library_in(Path::new("/nowhere/at/all")), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_variable_wins_over_a_library_beside_the_program() {
        let folder = folder(&["libonnxruntime.so.1.32.0"]);
        let file = folder.path().canonicalize().unwrap().join("libonnxruntime.so.1.32.0");
        let beside = || PathBuf::from("/beside/libonnxruntime.so");
        assert_eq!(choose(Some(file.clone()), Some(beside())).unwrap(), file);
        assert_eq!(choose(Some(folder.path().to_owned()), None).unwrap().file_name(), file.file_name());
        assert_eq!(choose(None, Some(beside())).unwrap(), beside());
        assert_eq!(choose(None, None).unwrap(), Path::new("libonnxruntime.so"));
    }

    #[test]
    fn a_variable_that_leads_nowhere_is_an_error_and_nothing_else_is_tried() {
        for path in [PathBuf::from("/nowhere/libonnxruntime.so"), folder(&[]).path().to_owned()] {
            let error = choose(Some(path), Some("/beside".into())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(VARIABLE), "{error}");
            assert!(error.hint_text().unwrap().contains("pip install onnxruntime"), "{error}");
        }
    }
}
