//! Numbers as people read them.

use std::time::Duration;

/// Bytes in decimal units: `41.3 kB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration with the precision that its size deserves: `0.58 s`, `12.3 s`, `4 min 09 s`, `2 h 05 min`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
        s => format!("{} h {:02} min", s as u64 / 3600, s as u64 % 3600 / 60),
    }
}

/// How long ago something was, roughly: `today`, `1 day ago`, `7 weeks ago`.
pub(crate) fn ago(time: Duration) -> String {
    let days = time.as_secs() / 86_400;
    match days {
        0 => "today".to_owned(),
        1..21 => format!("{} ago", count(days, "day")),
        21..180 => format!("{} ago", count(days / 7, "week")),
        180..730 => format!("{} ago", count(days / 30, "month")),
        _ => format!("{} ago", count(days / 365, "year")),
    }
}

/// `1 row`, `1,234 rows`.
pub(crate) fn count(n: u64, singular: &str) -> String {
    format!("{} {singular}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// A whole number with separators: `1,234,567`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The shape of `values` in at most `width` bars, from their least to their greatest; a number that is not finite is `×`.
pub(crate) fn sparkline(values: &[f32], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let cells = width.min(values.len()).max(1);
    let means: Vec<f32> = (0..cells)
        .map(|cell| {
            let part = &values[cell * values.len() / cells..(cell + 1) * values.len() / cells];
            part.iter().sum::<f32>() / part.len().max(1) as f32
        })
        .collect();
    let finite = means.iter().copied().filter(|m| m.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), m| (low.min(m), high.max(m)));
    let bar = |mean: &f32| match mean {
        m if !m.is_finite() => '×',
        m if high > low => BARS[(((m - low) / (high - low)) * 7.0).round().clamp(0.0, 7.0) as usize],
        _ => BARS[0],
    };
    if values.is_empty() { String::new() } else { means.iter().map(bar).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(41_278), "41.3 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(1_234_567, "row"), "1,234,567 rows");
    }

    #[test]
    fn times_have_the_precision_of_their_size() {
        let shown: Vec<String> =
            [0.581, 12.34, 249.0, 7500.0].into_iter().map(|s| time(Duration::from_secs_f64(s))).collect();
        assert_eq!(shown, ["0.58 s", "12.3 s", "4 min 09 s", "2 h 05 min"]);
    }

    #[test]
    fn days_become_weeks_months_and_years() {
        let shown: Vec<String> =
            [0, 1, 20, 50, 200, 1000].into_iter().map(|d| ago(Duration::from_secs(d * 86_400))).collect();
        assert_eq!(shown, ["today", "1 day ago", "20 days ago", "7 weeks ago", "6 months ago", "2 years ago"]);
    }

    #[test]
    fn a_sparkline_goes_from_the_least_to_the_greatest() {
        assert_eq!(sparkline(&[0.0, 1.0, 0.5], 8), "▁█▅");
        assert_eq!(sparkline(&[1.0; 16], 4), "▁▁▁▁");
        assert_eq!(sparkline(&[0.0, f32::NAN, 1.0], 8), "▁×█");
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[0.0, 0.0, 4.0, 4.0], 2), "▁█");
    }
}
