//! The command that goes on with a run, or repeats it, to be shown to the user.

use std::{ffi::OsString, path::Path};

use imbed::core::Error;

/// The command that this process was started with, made to go on with what is there.
pub(crate) fn command() -> String {
    resuming(std::env::args_os())
}

/// The command that this process was started with.
pub(crate) fn same() -> String {
    shown(std::env::args_os()).join(" ")
}

/// `error` with one more hint behind its own.
pub(crate) fn with_hint(error: Error, more: &str) -> Error {
    let hint = error.hint_text().map_or_else(|| more.to_owned(), |hint| format!("{hint}\n{more}"));
    error.hint(hint)
}

/// The program's name and its arguments, as they are typed.
fn shown(words: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let program =
        Path::new(&program).file_stem().map_or_else(|| "imbed".to_owned(), |n| n.to_string_lossy().into_owned());
    std::iter::once(program).chain(words).map(|word| quoted(&word)).collect()
}

fn resuming(words: impl IntoIterator<Item = OsString>) -> String {
    let mut shown = shown(words);
    shown.retain(|word| word != "--overwrite" && word != "--resume");
    // Behind `--` it would be an input.
    let end = shown.iter().position(|word| word == "--").unwrap_or(shown.len());
    shown.insert(end, "--resume".to_owned());
    shown.join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_typed_as_it_is_shown() {
        let shown = |words: &[&str]| resuming(words.iter().map(OsString::from));
        assert_eq!(
            shown(&["/usr/bin/imbed", "embed", "my photos", "-o", "x.parquet", "--overwrite"]),
            "imbed embed 'my photos' -o x.parquet --resume"
        );
        assert_eq!(
            shown(&["imbed", "embed", "-o", "x/", "--resume", "--", "-it's"]),
            r"imbed embed -o x/ --resume -- '-it'\''s'"
        );
        assert_eq!(shown(&["imbed", "embed", "a/**/*.jpg"]), "imbed embed 'a/**/*.jpg' --resume");
    }
}
