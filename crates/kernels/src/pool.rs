//! Who does the work.

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
