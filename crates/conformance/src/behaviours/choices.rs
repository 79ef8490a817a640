//! The poolings and number types that a model offers work, and others are refused.

use imbed_core::{ErrorKind, options::OPTIONS};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::Bench,
    compare::length,
    pictures::pictures,
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "choices",
    promise: "poolings and number types that the model offers work, and those that it does not offer are refused",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let poolings: Vec<String> = bench.capability.poolings.iter().map(ToString::to_string).collect();
    let dtypes: Vec<String> = bench.capability.dtypes.iter().map(ToString::to_string).collect();
    for (option, offered) in [("pooling", poolings), ("dtype", dtypes)] {
        for value in words(option) {
            check_one(bench, option, value, offered.iter().any(|o| o == value))
                .map_err(|e| e.during(format_args!("{option} = {value}")))?;
        }
    }
    Ok(())
}

fn check_one(bench: &Bench, option: &str, value: &str, offered: bool) -> Check {
    let tried = bench.describe(&[(option, value)]).and_then(|d| Ok((bench.load(d.as_ref())?, d)));
    match (tried, offered) {
        (Ok((model, descriptor)), true) => {
            let vectors = model.embed(&pictures(2)?)?;
            let known = descriptor.dimensions().size;
            for vector in vectors {
                ensure!(vector.len() == known, "{known} numbers are announced and {} come", vector.len());
                let length = length(&vector);
                ensure!(length.is_finite() && length > 0.0, "a vector has the length {length}");
            }
            Ok(())
        }
        (Ok(_), false) => Err("it is not offered, but it is taken".into()),
        // A number type may need another device than the one that is tested on.
        (Err(error), true) if option == "dtype" => {
            let refused = matches!(error.kind(), ErrorKind::BadOption | ErrorKind::Device);
            if refused { Ok(()) } else { Err(Failure::from(error)) }
        }
        (Err(error), true) => Err(Failure::from(error).during("it is offered")),
        (Err(error), false) => {
            ensure!(error.kind() == ErrorKind::BadOption, "refused as {}, not as a bad option", error.kind());
            ensure!(error.hint_text().is_some(), "it is refused without a next step: {error}");
            Ok(())
        }
    }
}

/// The words that `option` can be, from its own description.
fn words(option: &str) -> impl Iterator<Item = &'static str> {
    let spec = OPTIONS.iter().find(|spec| spec.name == option);
    spec.map_or("", |spec| spec.values).split('|').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_come_from_the_description_of_the_option() {
        assert!(words("pooling").any(|w| w == "mean"));
        assert!(words("dtype").any(|w| w == "f32"));
        assert_eq!(words("no such option").count(), 0);
    }
}
