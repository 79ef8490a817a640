//! Images by address: what the flags mean to the engine.

use std::sync::Arc;

use imbed::{
    engine::Fetch,
    urls::{Limits, Urls},
};

use crate::args::UrlArgs;

/// What fetches, if that is allowed.
pub(crate) fn fetch(args: &UrlArgs) -> Option<Arc<dyn Fetch>> {
    args.allow_urls.then(|| {
        let mut limits = Limits::default();
        limits.time = args.url_timeout.unwrap_or(limits.time);
        limits.at_once = args.url_requests.unwrap_or(limits.at_once);
        Arc::new(Urls::new(args.allow_host.clone(), limits)) as Arc<dyn Fetch>
    })
}

/// What is allowed, for `--explain`.
pub(crate) fn describe(args: &UrlArgs) -> Option<String> {
    args.allow_urls.then(|| match args.allow_host.as_slice() {
        [] => "fetched from the public internet".to_owned(),
        hosts => {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            format!("fetched from the public internet and {}", hosts.join(", "))
        }
    })
}
