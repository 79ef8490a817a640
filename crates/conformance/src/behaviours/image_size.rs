//! Images of a size that the user chose.

use imbed_core::{ErrorKind, InputSpec, preprocess::Size};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::Bench,
    pictures::pictures,
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "image-size",
    promise: "the option image_size makes the model read images of that size, or is refused with a next step",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let own = match bench.descriptor.input() {
        InputSpec::Pixels(preprocess) => preprocess.output_size(),
        InputSpec::Encoded { .. } => None,
    };
    let side = own.map_or(224, |size| size.height);
    for asked in [side, 2 * side] {
        check_one(bench, asked).map_err(|e| e.during(format_args!("image_size = {asked}")))?;
    }
    Ok(())
}

fn check_one(bench: &Bench, side: u32) -> Check {
    let descriptor = match bench.describe(&[("image_size", &side.to_string())]) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            ensure!(error.kind() == ErrorKind::BadOption, "refused as {}, not as a bad option: {error}", error.kind());
            ensure!(error.hint_text().is_some(), "it is refused without a next step: {error}");
            return Ok(());
        }
    };
    let InputSpec::Pixels(preprocess) = descriptor.input() else {
        return Err("a model that prepares its images itself takes the option without a word".into());
    };
    let (made, wanted) = (preprocess.output_size(), Size { height: side, width: side });
    ensure!(made == Some(wanted), "images of {made:?} are prepared, not of {wanted:?}");
    let model = bench.load(descriptor.as_ref()).map_err(|e| Failure::from(e).during("loading"))?;
    for vector in model.embed(&pictures(2)?)? {
        let known = descriptor.dimensions().size;
        ensure!(vector.len() == known, "{known} numbers are announced and {} come", vector.len());
        ensure!(vector.iter().all(|x| x.is_finite()), "a number is not finite");
    }
    Ok(())
}
