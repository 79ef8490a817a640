//! Buffers that one pass computes in, kept from call to call: fresh memory for every layer would cost a page fault per
//! four kilobytes, which is as much as some of the kernels.

use std::sync::{Mutex, PoisonError};

/// The buffers of one pass. Their contents between uses mean nothing.
#[derive(Debug, Default)]
pub(super) struct Workspace<T> {
    /// The residual stream, `[images, tokens, hidden]`.
    pub(super) stream: Vec<f32>,
    /// As wide as the stream: norms, answers of attention.
    pub(super) narrow: Vec<T>,
    /// The widest: queries-keys-values, the middle of the MLP.
    pub(super) wide: Vec<T>,
    /// The other factor of a gated MLP.
    pub(super) spare: Vec<T>,
    /// What comes before and after the blocks.
    pub(super) ends: [Vec<f32>; 3],
}

/// The first `len` numbers of `buffer`, which grows if it must.
pub(super) fn sized<T: Copy + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}

/// Workspaces that wait for the next pass; there are as many as passes ever ran at once.
#[derive(Debug, Default)]
pub(super) struct Workspaces<T>(Mutex<Vec<Workspace<T>>>);

impl<T: Default> Workspaces<T> {
    /// Runs `pass` with a workspace of its own.
    pub(super) fn with<R>(&self, pass: impl FnOnce(&mut Workspace<T>) -> R) -> R {
        let waiting = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = waiting().pop().unwrap_or_default();
        let result = pass(&mut workspace);
        waiting().push(workspace);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_used_again_and_two_at_once_are_two() {
        let workspaces = Workspaces::<f32>::default();
        workspaces.with(|first| {
            sized(&mut first.wide, 10).fill(1.0);
            workspaces.with(|second| assert!(second.wide.is_empty()));
        });
        assert_eq!(workspaces.0.lock().unwrap().len(), 2);
        workspaces.with(|again| assert_eq!(again.wide.len(), 10));
    }
}
