//! Who does the work.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

/// Threads of the caller's.
pub trait Pool: Sync {
    /// How many tasks run at the same time, at least 1. Work is cut for that many.
    fn workers(&self) -> usize;

    /// Calls `task` once with each number below `tasks`, in any order and on any thread, and returns when all are done.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Pool for Alone {
    fn workers(&self) -> usize {
        1
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        for number in 0..tasks {
            task(number);
        }
    }
}

/// As [`Pool::run`], but holds a pool to its word: a number that comes twice or is none does nothing. Tasks may so write parts
/// of their own without asking.
pub(crate) fn run_once(pool: &dyn Pool, tasks: usize, task: impl Fn(usize) + Sync) {
    let begun: Vec<AtomicBool> = (0..tasks).map(|_| AtomicBool::new(false)).collect();
    pool.run(tasks, &|number| {
        if begun.get(number).is_some_and(|begun| !begun.swap(true, Ordering::Relaxed)) {
            task(number);
        }
    });
}

/// The `number`th of `parts` of about the same size, from 0 to `total`.
#[inline(always)]
pub(crate) fn share(total: usize, parts: usize, number: usize) -> Range<usize> {
    total * number / parts..total * (number + 1) / parts
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Careless;

    impl Pool for Careless {
        fn workers(&self) -> usize {
            0
        }

        fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
            (0..tasks + 2).chain(0..tasks).for_each(task);
        }
    }

    #[test]
    fn a_task_runs_once() {
        let sum = AtomicUsize::new(0);
        run_once(&Careless, 4, |number| {
            sum.fetch_add(number, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 6);
    }
}
