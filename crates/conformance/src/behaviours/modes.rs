//! Images of every mode.

use std::sync::Arc;

use imbed_core::{
    InputSpec,
    arrow::images_to_array,
    image::{EncodeFormat, Image, Mode, encode},
    options::Alpha,
};
use imbed_engine::{Engine, Images};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::{Bench, column, rows},
    pictures::pictures,
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "modes",
    promise: "grey, coloured, transparent, 16-bit and float images are embedded, from files and from columns of pixels",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let engine = bench.engine(&[])?;
    let picture = pictures(5)?.pop().ok_or("no picture was made")?;
    for mode in Mode::ALL {
        check_mode(bench, &engine, &picture, mode).map_err(|e| e.during(format_args!("mode {mode}")))?;
    }
    Ok(())
}

fn check_mode(bench: &Bench, engine: &Engine, picture: &Image, mode: Mode) -> Check {
    let image = picture.convert(mode, Alpha::Drop);
    let mut routes = vec![("a column of pixels", decoded(engine, &image)?)];
    let files = [EncodeFormat::Png, EncodeFormat::Tiff].into_iter().filter(|format| format.modes().contains(&mode));
    for format in files {
        let file = column(&[Some(encode(&image, format)?)]);
        routes.push(("a file", one(&engine.embed_array(Images::Encoded(file))?.embeddings)?));
    }
    // What the pixels become is the engine's work for a model that wants pixels. A service has rules of its own.
    let rgb = decoded(engine, &image.convert(Mode::Rgb, Alpha::Drop))?;
    for (route, vector) in routes {
        ensure!(vector.iter().all(|x| x.is_finite()), "{route} gives numbers that are not finite");
        if matches!(bench.descriptor.input(), InputSpec::Pixels(_)) {
            let same = bench.agree(&[vector], std::slice::from_ref(&rgb));
            same.map_err(|e| e.during(format_args!("{route} against the same image in RGB")))?;
        }
    }
    Ok(())
}

fn decoded(engine: &Engine, image: &Image) -> Result<Vec<f32>, Failure> {
    let (field, array) = images_to_array("image", &[Some(image.clone())])?;
    one(&engine.embed_array(Images::Decoded { array, field: Arc::new(field) })?.embeddings)
}

fn one(column: &arrow_array::FixedSizeListArray) -> Result<Vec<f32>, Failure> {
    rows(column).into_iter().flatten().next().ok_or_else(|| "the row is null".into())
}
