//! A program that depends on this crate and does not link it. Nothing here may name the crate.

use imbed_core::{ErrorKind, Registry, Session, session::Request};

#[test]
fn a_provider_that_is_a_dependency_but_not_linked_says_how_to_link_it() {
    assert_eq!(Registry::linked().iter().count(), 0, "something links the provider");
    for name in ["candle", "transformers"] {
        let error = Registry::linked().get(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownProvider);
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("Cargo feature 'candle'") && hint.contains("use imbed_provider_candle as _;"), "{hint}");
    }
}

#[test]
fn a_program_without_any_provider_says_how_to_link_one() {
    let error = Session::new(Registry::linked()).resolve(&Request::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownProvider);
    assert!(error.hint_text().unwrap().contains("as _;"), "{error}");
}

#[test]
fn a_third_partys_provider_that_is_not_linked_says_how_to_link_it() {
    let error = Registry::linked().get("somebody-elses").unwrap_err();
    assert!(error.message().contains("somebody-elses"), "{error}");
    assert!(error.hint_text().unwrap().contains("as _;"), "{error}");
}
