//! Flags about images by address.

use std::{num::NonZeroUsize, time::Duration};

use clap::Args;
use imbed::urls::Host;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct UrlArgs {
    /// Fetch images whose place in the input is an http or https address; without, no address is followed
    #[arg(long)]
    pub(crate) allow_urls: bool,

    /// Fetch from this host although it is in a private network or on this machine; may be repeated
    #[arg(long, value_name = "HOST[:PORT]", requires = "allow_urls", value_parser = host)]
    pub(crate) allow_host: Vec<Host>,

    /// Seconds for one image: names, redirects (at most 5) and further tries included [default: 60]
    #[arg(long, value_name = "SECONDS", requires = "allow_urls", value_parser = seconds)]
    pub(crate) url_timeout: Option<Duration>,

    /// Images that are fetched at once [default: 32]
    #[arg(long, value_name = "N", requires = "allow_urls")]
    pub(crate) url_requests: Option<NonZeroUsize>,
}

fn host(text: &str) -> Result<Host, String> {
    text.parse().map_err(|error: imbed::core::Error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let within = |time: &Duration| !time.is_zero() && *time <= Duration::from_hours(24);
    seconds
        .filter(within)
        .ok_or_else(|| format!("'{text}' is no time: write seconds, such as 30 or 0.5, at most a day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_some_seconds_of_a_day() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "inf", "nan", "1e300", "90000", "1m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
