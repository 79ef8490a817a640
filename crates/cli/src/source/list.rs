//! Lists of paths: a text file or standard input, one path per line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    iter,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use imbed::core::{Error, Result};

use super::files::Paths;
use crate::interrupt;

/// Paths from standard input that may wait to be taken.
const WAITING: usize = 1024;

/// How long a wait for standard input lasts before it is asked again whether the user has stopped the run.
const PATIENCE: Duration = Duration::from_millis(50);

/// Whether `path` is a list of paths by its extension.
pub(super) fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt") || e.eq_ignore_ascii_case("list"))
}

/// The paths in a text file. They are read once now, to count them.
pub(super) fn from_file(path: &Path) -> Result<Paths> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| Error::io(&name, e))?;
    Ok(Paths::of(entries(BufReader::new(file), name).collect::<Result<_>>()?))
}

/// The paths that arrive on standard input, as they arrive.
///
/// They are read on a thread of their own: whoever waits for the next one can stop waiting when the user stops the run.
pub(super) fn from_stdin() -> Paths {
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let mut lines = entries(BufReader::new(io::stdin()), "standard input".to_owned());
    let reader = thread::Builder::new().name("imbed-stdin".to_owned()).spawn(move || {
        // A receiver that has gone wants no more.
        let _ = lines.try_for_each(|line| sender.send(line));
    });
    let mut failure = reader.err().map(|e| Error::io("cannot start the thread that reads standard input", e));
    let paths = iter::from_fn(move || {
        if let Some(failure) = failure.take() {
            return Some(Err(failure));
        }
        while !interrupt::asked() {
            match receiver.recv_timeout(PATIENCE) {
                Ok(line) => return Some(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    });
    Paths { paths: Box::new(paths), count: None }
}

/// The lines that are paths: neither blank nor starting with `#`.
fn entries<R: BufRead>(reader: R, name: String) -> impl Iterator<Item = Result<String>> {
    reader.lines().enumerate().filter_map(move |(index, line)| match line {
        Ok(line) => {
            // Spaces inside and at the end of a name are the name's; a carriage return comes from Windows.
            let path = line.strip_suffix('\r').unwrap_or(&line);
            let path = if index == 0 { path.strip_prefix('\u{feff}').unwrap_or(path) } else { path };
            (!path.trim().is_empty() && !path.starts_with('#')).then(|| Ok(path.to_owned()))
        }
        Err(e) => Some(Err(Error::io(format_args!("{name}, line {}", index + 1), e))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_carriage_returns_are_no_part_of_a_path() {
        let text = "\u{feff}a.jpg\r\n\n# not this\n  \nb c.png\nsub/d.webp";
        let found: Vec<String> = entries(text.as_bytes(), String::new()).map(Result::unwrap).collect();
        assert_eq!(found, ["a.jpg", "b c.png", "sub/d.webp"]);
    }

    #[test]
    fn a_line_that_is_not_text_is_named() {
        let error = entries(&b"a.jpg\n\xff\xfe.jpg\n"[..], "list.txt".into()).find_map(Result::err).unwrap();
        assert!(error.message().starts_with("list.txt, line 2"), "{error}");
    }
}
