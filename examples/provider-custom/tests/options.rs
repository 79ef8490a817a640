//! The provider's own option.

use imbed_core::{ErrorKind, Registry, Session, options::OptionMap, session::Request};
use provider_custom as _;

fn resolve(shape: &str) -> imbed_core::Result<serde_json::Value> {
    let mut options = OptionMap::default();
    options.set("shape", shape);
    let request = Request { provider: Some("perceptual".to_owned()), options, ..Request::default() };
    let descriptor = Session::new(Registry::linked()).resolve(&request)?.descriptor;
    Ok(descriptor.options().extra["shape"].clone())
}

#[test]
fn a_weight_is_taken_and_travels_with_the_options() {
    assert_eq!(resolve("0.25").unwrap(), 0.25);
}

#[test]
fn a_weight_that_is_none_is_refused_with_what_it_takes() {
    for wrong in ["1.5", "-1", "much"] {
        let error = resolve(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption);
        assert!(error.hint_text().unwrap().contains("0 to 0.9"), "{error}");
    }
}
