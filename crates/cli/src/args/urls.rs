//! Flags about images by address.

use std::{num::NonZeroUsize, time::Duration};

use clap::Args;
use imbed::urls::Host;

use super::values::seconds;

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
