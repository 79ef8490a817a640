//! The threads that kernels share their work among.

use imbed_kernels::{Alone, Pool};
use rayon::prelude::*;

/// Who does the work of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// The calling thread alone: every thread has a pass of its own.
    One,
    /// Those of the current `rayon` pool.
    All,
}

impl Threads {
    /// Runs `work` on parts of `x` of so many numbers; the last may be shorter.
    pub(super) fn each<X: Send>(self, x: &mut [X], part: usize, work: impl Fn(&mut [X]) + Sync + Send) {
        match self {
            Self::One => work(x),
            Self::All => x.par_chunks_mut(part).for_each(work),
        }
    }

    /// Runs `work` on parts of `x` and `y` of so many numbers, which belong together; the last part may be shorter.
    pub(super) fn parts<X: Sync, Y: Send, E: Send>(
        self,
        (x, x_part): (&[X], usize),
        (y, y_part): (&mut [Y], usize),
        work: impl Fn(&[X], &mut [Y]) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        match self {
            Self::One => work(x, y),
            Self::All => x.par_chunks(x_part).zip(y.par_chunks_mut(y_part)).try_for_each(|(x, y)| work(x, y)),
        }
    }
}

impl Pool for Threads {
    fn workers(&self) -> usize {
        match self {
            Self::One => Alone.workers(),
            Self::All => rayon::current_num_threads(),
        }
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        match self {
            Self::One => Alone.run(tasks, task),
            // One at a time: they are few and large.
            Self::All => (0..tasks).into_par_iter().with_max_len(1).for_each(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_belong_together_meet_on_any_number_of_threads() {
        let x: Vec<usize> = (0..23).collect();
        for threads in [Threads::One, Threads::All] {
            let mut y = vec![0; 46];
            let double = |x: &[usize], y: &mut [usize]| {
                y.chunks_exact_mut(2).zip(x).for_each(|(y, x)| y.fill(*x));
                Ok::<_, ()>(())
            };
            threads.parts((&x, 5), (&mut y, 10), double).unwrap();
            assert!(y.chunks_exact(2).zip(&x).all(|(y, x)| y == [*x, *x]), "{threads:?}");
        }
    }
}
