//! When a service wants to be asked again.
//!
//! In the order in which they are believed: `retry-after-ms`, `Retry-After` in seconds or as a date, and a header of the
//! dialect's own with the second at which the limit is lifted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// A header that holds a Unix time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResetHeader {
    pub(crate) name: &'static str,
}

/// How long to wait, by the reply's headers; `None` if they say nothing that can be understood.
///
/// A date is held against the service's own `Date`, so that clocks which differ do no harm; `now` serves where there is none.
pub(crate) fn wait(headers: &HeaderMap, reset: Option<ResetHeader>, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|ms| seconds(ms.parse::<f64>().ok()? / 1000.0)) {
        return Some(wait);
    }
    let here = || text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        if let Some(wait) = value.parse().ok().and_then(seconds) {
            return Some(wait);
        }
        if let Ok(date) = httpdate::parse_http_date(value) {
            // A moment that is past means now.
            return Some(date.duration_since(here()).unwrap_or_default());
        }
    }
    let at = UNIX_EPOCH.checked_add(seconds(text(reset?.name)?.parse().ok()?)?)?;
    at.duration_since(now).ok()
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const RESET: Option<ResetHeader> = Some(ResetHeader { name: "x-ratelimit-reset" });

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn waited(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        wait(&headers(pairs), RESET, at(1_000_000_000))
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        assert_eq!(waited(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(waited(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(waited(&[("retry-after-ms", "250"), ("retry-after", "9")]), Some(Duration::from_millis(250)));
        let date = httpdate::fmt_http_date(at(1_000_000_030));
        assert_eq!(waited(&[("retry-after", &date)]), Some(Duration::from_secs(30)));
        assert_eq!(waited(&[("x-ratelimit-reset", "1000000004")]), Some(Duration::from_secs(4)));
    }

    #[test]
    fn a_date_is_held_against_the_services_own_clock() {
        let (date, there) = (httpdate::fmt_http_date(at(5_000)), httpdate::fmt_http_date(at(4_990)));
        assert_eq!(waited(&[("retry-after", &date), ("date", &there)]), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_moment_that_is_past_is_now() {
        let date = httpdate::fmt_http_date(at(999_999_000));
        assert_eq!(waited(&[("retry-after", &date)]), Some(Duration::ZERO));
        assert_eq!(waited(&[("x-ratelimit-reset", "999999999")]), None);
    }

    #[test]
    fn nonsense_is_as_good_as_nothing() {
        for nonsense in ["", "soon", "-5", "NaN", "inf", "1e300"] {
            assert_eq!(waited(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(waited(&[]), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(a in "\\PC{0,40}", b in "[0-9a-z:, +.-]{0,40}") {
            let Ok(value) = HeaderValue::from_str(&a) else { return Ok(()) };
            let mut map = headers(&[("retry-after", &b), ("x-ratelimit-reset", &b)]);
            map.insert("retry-after-ms", value);
            wait(&map, RESET, SystemTime::now());
        }
    }
}
