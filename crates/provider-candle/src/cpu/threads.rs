//! The threads that kernels share their work among.

use imbed_kernels::Pool;
use rayon::prelude::*;

/// Those of the current `rayon` pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threads;

impl Pool for Threads {
    fn workers(&self) -> usize {
        rayon::current_num_threads()
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // One at a time: they are few and large.
        (0..tasks).into_par_iter().with_max_len(1).for_each(task);
    }
}
