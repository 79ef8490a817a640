//! Values as a user writes them.

use std::time::Duration;

pub(super) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A number of bytes or pixels: `65536`, `512M` (binary: 512 x 1024 x 1024), `1_000_000`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size: write a whole number, perhaps with k, M or G");
    let text = text.replace('_', "");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// A time in seconds, such as 30 or 0.5.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let within = |time: &Duration| !time.is_zero() && *time <= Duration::from_hours(24);
    seconds
        .filter(within)
        .ok_or_else(|| format!("'{text}' is not a time: write seconds, such as 30 or 0.5, at most a day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units() {
        assert_eq!(size("1_000"), Ok(1000));
        assert_eq!(size("2k"), Ok(2048));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        for wrong in ["", "M", "1.5M", "-1", "3X", "99999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_some_seconds_of_a_day() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "inf", "NaN", "1e300", "90000", "1m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
