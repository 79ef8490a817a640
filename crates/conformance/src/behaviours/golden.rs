//! The vectors of a reference implementation.

use crate::{
    Behaviour, Golden,
    behaviour::{Check, ensure},
    bench::Bench,
    compare::{relative_error, smallest_centred_cosine},
};

/// Between f32 vectors and the reference's, after the reference's mean is removed.
const CENTRED_COSINE: f64 = 0.9999;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "golden",
    promise: "vectors are those of the reference implementation on the same pixels",
    cannot: |bench| bench.subject.goldens.is_empty().then(|| "no golden vectors were given".to_owned()),
    check,
};

fn check(bench: &Bench) -> Check {
    bench.subject.goldens.iter().try_for_each(|golden| {
        let got = vectors(bench, golden)?;
        compare(golden, &got).map_err(|e| e.during(format_args!("{} ({})", golden.family, golden.model)))
    })
}

/// The provider's vectors of the golden images.
pub(crate) fn vectors(bench: &Bench, golden: &Golden) -> imbed_core::Result<Vec<Vec<f32>>> {
    let descriptor = bench.describe_model(&golden.model, &golden.options, &[])?;
    let model = bench.load(descriptor.as_ref())?;
    match &model.input {
        imbed_core::InputSpec::Pixels(_) => model.embed_pixels(&golden.pixels),
        imbed_core::InputSpec::Encoded { .. } => model.embed(&golden.images()?),
    }
}

fn compare(golden: &Golden, got: &[Vec<f32>]) -> Check {
    ensure!(got.len() == golden.vectors.len(), "{} vectors for {} images", got.len(), golden.vectors.len());
    for (row, (got, wanted)) in got.iter().zip(&golden.vectors).enumerate() {
        ensure!(got.len() == wanted.len(), "row {row} has {} numbers, the reference {}", got.len(), wanted.len());
        let (error, tolerance) = (relative_error(got, wanted), golden.tolerance);
        ensure!(error <= tolerance, "row {row} has a relative error of {error:.1e}, over {tolerance:.1e}");
    }
    if golden.dtype == imbed_core::options::Dtype::F32 && got.len() > 1 {
        let cosine = smallest_centred_cosine(got, &golden.vectors);
        ensure!(cosine >= CENTRED_COSINE, "the smallest centred cosine is {cosine:.6}, under {CENTRED_COSINE}");
    }
    Ok(())
}
