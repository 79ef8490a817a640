//! What is wrong with a configuration, without its values: one of them may be a key.

use figment::error::{Actual, Kind};

/// `error` as a message: which key, in which file, and what was expected there.
pub(super) fn message(error: figment::Error) -> String {
    let each = error.into_iter().map(|mut error| {
        error.kind = without_values(error.kind);
        error.to_string()
    });
    each.collect::<Vec<_>>().join("; ")
}

fn without_values(kind: Kind) -> Kind {
    match kind {
        Kind::Message(text) => Kind::Message(without_lines_of_the_file(&text)),
        Kind::InvalidType(actual, expected) => Kind::InvalidType(named(actual), expected),
        Kind::InvalidValue(actual, expected) => Kind::InvalidValue(named(actual), expected),
        Kind::UnknownVariant(_, known) => Kind::UnknownVariant("something else".to_owned(), known),
        Kind::Unsupported(actual) => Kind::Unsupported(named(actual)),
        Kind::UnsupportedKey(actual, wanted) => Kind::UnsupportedKey(named(actual), wanted),
        other => other,
    }
}

/// The type of a value alone.
fn named(actual: Actual) -> Actual {
    let name = match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a text",
        Actual::Other(_) => "something else",
        other => return other,
    };
    Actual::Other(name.to_owned())
}

/// A parser shows the line that it does not understand, behind its number and a bar.
fn without_lines_of_the_file(text: &str) -> String {
    let is_shown = |line: &&str| {
        let line = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        !line.is_empty() && !line.starts_with('|')
    };
    text.lines().filter(is_shown).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_parser_shows_is_left_out() {
        let text = "TOML parse error at line 2, column 13\n  |\n2 | api_key = \"canary\n  |            ^\ninvalid basic string\n";
        assert_eq!(without_lines_of_the_file(text), "TOML parse error at line 2, column 13: invalid basic string");
    }
}
