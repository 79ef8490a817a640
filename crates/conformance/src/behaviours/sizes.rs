//! Images of any size.

use imbed_core::{
    InputSpec,
    image::{EncodeFormat, Image, Mode, Samples, encode},
};

use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::{Bench, column, rows},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "sizes",
    promise: "an image of one pixel and images of extreme proportions are embedded",
    cannot: |bench| {
        let encoded = matches!(bench.descriptor.input(), InputSpec::Encoded { .. });
        encoded.then(|| "the sizes that a service takes are its own rule".to_owned())
    },
    check,
};

fn check(bench: &Bench) -> Check {
    let engine = bench.engine(&[])?;
    for (width, height) in [(1, 1), (1, 700), (700, 1), (33, 2), (640, 480)] {
        let samples = (0..width * height * 3).map(|i| (i * 31 % 251) as u8 | 1).collect();
        let image = Image::new(Mode::Rgb, width, height, Samples::U8(samples))?;
        let file = column(&[Some(encode(&image, EncodeFormat::Png)?)]);
        let embedded = engine.embed_array(file.into());
        let embedded = embedded.map_err(|e| Failure::from(e).during(format_args!("{width} x {height}")))?;
        ensure!(rows(&embedded.embeddings)[0].is_some(), "{width} x {height}: the row is null");
    }
    Ok(())
}
