//! Every vector in the place of its image.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column, rows},
    pictures::{pictures, pngs},
};

const IMAGES: usize = 11;

pub(super) const BEHAVIOUR: Behaviour =
    Behaviour { name: "order", promise: "vectors stand in the order of their images", cannot: always, check };

fn check(bench: &Bench) -> Check {
    let images = pictures(IMAGES)?;
    let files = pngs(&images)?;
    let model = bench.model()?;
    let straight = model.embed_in_batches(&images, 1)?;
    ensure!(straight.len() == IMAGES, "{} vectors came for {IMAGES} images", straight.len());
    // Steps that have no factor in common with 11 visit every image.
    for step in [1, 3, 10] {
        let order: Vec<usize> = (0..IMAGES).map(|i| i * step % IMAGES).collect();
        let shuffled: Vec<_> = order.iter().map(|i| images[*i].clone()).collect();
        let wanted: Vec<_> = order.iter().map(|i| straight[*i].clone()).collect();
        bench.agree(&model.embed(&shuffled)?, &wanted).map_err(|e| e.during(format_args!("in steps of {step}")))?;
    }
    // The same through the engine, with more than one batch.
    let engine = bench.engine(&[("batch_size", "4")])?;
    let embed = |order: &[usize]| -> Result<Vec<Vec<f32>>, crate::behaviour::Failure> {
        let shuffled: Vec<_> = order.iter().map(|i| Some(files[*i].clone())).collect();
        let embedded = rows(&engine.embed_array(column(&shuffled).into())?.embeddings);
        ensure!(embedded.iter().all(Option::is_some), "a row of the column is null");
        Ok(embedded.into_iter().flatten().collect())
    };
    let backwards: Vec<usize> = (0..IMAGES).rev().collect();
    let mut turned = embed(&backwards)?;
    turned.reverse();
    bench.agree(&turned, &embed(&(0..IMAGES).collect::<Vec<_>>())?).map_err(|e| e.during("a column turned around"))
}
