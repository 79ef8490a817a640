//! A program that depends on the crate and forgets to link it. Nothing here may name the crate.

use imbed_core::{ErrorKind, Registry};

#[test]
fn a_provider_that_was_not_linked_says_how_to_link_it() {
    let error = Registry::linked().get("perceptual").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownProvider);
    assert!(error.hint_text().unwrap().contains("as _;"), "{error}");
}
