//! The behaviours, in the order in which they are best read: what is known before loading, what the vectors are, what
//! happens to rows, what happens when something fails.

mod async_runtime;
mod bad_option;
mod bad_row;
mod batch_sizes;
mod cancellation;
mod choices;
mod concurrency;
mod cut;
mod descriptor_travels;
mod dimensions;
mod finite;
mod golden;
mod image_size;
mod length;
mod listing;
mod missing_device;
mod modes;
mod nulls;
mod on_error;
mod order;
mod repeat;
mod secrets;
mod sizes;
mod tells_apart;
mod temporary_errors;
mod unit_length;
mod unknown_model;

use crate::Behaviour;

pub(crate) use golden::vectors as golden_vectors;

/// Every behaviour.
pub const ALL: &[Behaviour] = &[
    listing::BEHAVIOUR,
    descriptor_travels::BEHAVIOUR,
    dimensions::BEHAVIOUR,
    cut::BEHAVIOUR,
    choices::BEHAVIOUR,
    image_size::BEHAVIOUR,
    unknown_model::BEHAVIOUR,
    bad_option::BEHAVIOUR,
    missing_device::BEHAVIOUR,
    golden::BEHAVIOUR,
    finite::BEHAVIOUR,
    tells_apart::BEHAVIOUR,
    unit_length::BEHAVIOUR,
    repeat::BEHAVIOUR,
    batch_sizes::BEHAVIOUR,
    concurrency::BEHAVIOUR,
    length::BEHAVIOUR,
    order::BEHAVIOUR,
    nulls::BEHAVIOUR,
    modes::BEHAVIOUR,
    sizes::BEHAVIOUR,
    bad_row::BEHAVIOUR,
    on_error::BEHAVIOUR,
    temporary_errors::BEHAVIOUR,
    cancellation::BEHAVIOUR,
    async_runtime::BEHAVIOUR,
    secrets::BEHAVIOUR,
];

/// For behaviours that every provider can be held to.
fn always(_: &crate::bench::Bench) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_guide_lists_every_behaviour_with_its_promise() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/writing-a-provider.md");
        let guide = std::fs::read_to_string(guide).unwrap();
        for behaviour in ALL {
            let row = format!("| `{}` | {} |", behaviour.name, behaviour.promise);
            assert!(guide.contains(&row), "docs/writing-a-provider.md should have the line\n{row}");
        }
    }

    #[test]
    fn names_are_words_that_a_filter_can_tell_apart() {
        for (i, behaviour) in ALL.iter().enumerate() {
            assert!(behaviour.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", behaviour.name);
            assert!(!behaviour.promise.is_empty() && !behaviour.promise.ends_with('.'));
            assert!(ALL[..i].iter().all(|other| other.name != behaviour.name), "{}", behaviour.name);
        }
    }
}
