//! One loaded model, many threads.

use std::thread;

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure},
    bench::Bench,
    pictures::pictures,
};

const THREADS: usize = 8;
const ROUNDS: usize = 4;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "concurrency",
    promise: "8 threads may use one loaded model at the same time, and each gets its own vectors",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let images = pictures(THREADS + 4)?;
    let model = bench.model()?;
    let alone = model.embed(&images)?;
    let work = |thread: usize| -> Check {
        for _ in 0..ROUNDS {
            // Each thread has other images in its batch than its neighbours.
            let mine = thread..thread + 5;
            bench.agree(&model.embed(&images[mine.clone()])?, &alone[mine])?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(Failure::from("a thread panicked"))))
    })
    .map_err(|e| e.during("with 8 threads at once"))
}
