//! What the fuzz targets of `fuzz/` enter by. No stable interface.

use crate::{ModelName, listing::Listing};

/// Reads a model's name, and what a hub says of it.
pub fn listing(name: &str, body: &[u8]) {
    let Ok(name) = ModelName::parse(name) else { return };
    if let Ok(listing) = Listing::of_bytes(&name, body) {
        for file in listing.names() {
            // A name that leaves its folder would be written there.
            let stays = std::path::Path::new(&file).components().all(|c| matches!(c, std::path::Component::Normal(_)));
            assert!(stays, "{file:?} leaves its folder");
        }
    }
}
