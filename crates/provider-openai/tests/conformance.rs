//! What every provider must do, in each dialect, against a service that is strict about its requests.

mod support;

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use imbed_conformance::{Staged, Subject, Trouble};
use imbed_core::options::OptionMap;
use imbed_provider_openai as _;
use support::{Act, Fake, KEY, Seen, WIDTH, Wire};

/// Services that run until the end. Stopped, each says whether every request was as it should be.
static SERVICES: Mutex<Vec<Fake>> = Mutex::new(Vec::new());

/// The variables that each dialect's key is read from.
const KEY_VARIABLES: [&str; 6] =
    ["INFINITY_API_KEY", "VLLM_API_KEY", "VLLM_API_KEY", "JINA_API_KEY", "VOYAGE_API_KEY", "CO_API_KEY"];

fn main() -> ExitCode {
    let code = imbed_conformance::main(|| {
        Ok(Wire::ALL.into_iter().zip(KEY_VARIABLES).map(|(wire, variable)| subject(wire, variable)).collect())
    });
    SERVICES.lock().unwrap().clear();
    code
}

fn subject(wire: Wire, key_variable: &str) -> Subject {
    let mut subject = Subject::new("openai", "a-model").named(format!("openai, {}", wire.dialect));
    for (name, value) in options(wire, &service(wire, |_| Act::Unit)) {
        subject = subject.option(name, &value);
    }
    subject
        .secret(KEY)
        .environment(key_variable, KEY)
        .trouble(Trouble::FailsForNow, move || {
            Ok(staged(wire, |seen| if seen.number < 2 { Act::status(503) } else { Act::Unit }))
        })
        .trouble(Trouble::FailsForGood, move || Ok(staged(wire, |_| Act::status(401))))
        .trouble(Trouble::Slow, move || Ok(staged(wire, |_| Act::Slow(Duration::from_millis(300)))))
}

/// The address of a service that does as `script` says.
fn service(wire: Wire, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> String {
    let fake = Fake::start(wire, script);
    let url = fake.url();
    SERVICES.lock().unwrap().push(fake);
    url
}

fn staged(wire: Wire, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Staged {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let url = service(wire, move |seen| {
        counter.fetch_add(1, SeqCst);
        script(seen)
    });
    let mut map = OptionMap::default();
    for (name, value) in options(wire, &url) {
        map.set(name, &value);
    }
    Staged { model: "a-model".to_owned(), options: map, calls: Some(calls) }
}

fn options(wire: Wire, url: &str) -> [(&'static str, String); 4] {
    [
        ("dialect", wire.dialect.to_owned()),
        ("base_url", url.to_owned()),
        ("api_key", KEY.to_owned()),
        ("width", WIDTH.to_string()),
    ]
}
