//! What a runner prepares once for every size of image.

use std::sync::{Arc, Mutex, PoisonError};

use imbed_core::Result;

/// Sizes remembered. A model of one size needs one; one that reads any proportion meets a few dozen, and what is kept
/// for each is about a megabyte.
const MOST: usize = 32;

/// One `T` per size in pixels, rows and columns: those last used.
#[derive(Debug)]
pub struct Recent<T>(Vec<((usize, usize), T)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Recent<T> {
    /// What `make` gave for `size`, now or before.
    pub fn get<E>(&mut self, size: (usize, usize), make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if self.find(size).is_none() {
            self.keep(size, make()?);
        }
        Ok(&self.0[0].1)
    }

    /// What is kept for `size`, which comes first from now on.
    fn find(&mut self, size: (usize, usize)) -> Option<&T> {
        let place = self.0.iter().position(|(known, _)| *known == size)?;
        self.0[..=place].rotate_right(1);
        self.0.first().map(|(_, kept)| kept)
    }

    /// Keeps `made` for `size` in the first place, and forgets what was not used for longest where there are too many.
    fn keep(&mut self, size: (usize, usize), made: T) {
        self.0.insert(0, (size, made));
        self.0.truncate(MOST);
    }
}

/// The same for several threads.
#[derive(Debug)]
pub struct PerSize<T>(Mutex<Recent<Arc<T>>>);

impl<T> Default for PerSize<T> {
    fn default() -> Self {
        Self(Mutex::new(Recent::default()))
    }
}

impl<T> PerSize<T> {
    /// What `make` gave for `size`, now or before.
    pub fn get(&self, size: (usize, usize), make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().find(size) {
            return Ok(kept.clone());
        }
        // Not under the lock: others go on with their sizes meanwhile. Two may make the same, which is the same.
        let made = Arc::new(make()?);
        lock().keep(size, made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_memory_is_bounded() {
        let sizes = PerSize::default();
        let get = |side: usize, value: usize| *sizes.get((side, 1), || Ok(value)).unwrap();
        assert_eq!((get(1, 10), get(1, 11)), (10, 10));
        for side in 2..100 {
            get(side, 0);
            assert_eq!(get(1, 12), 10, "used after every other");
        }
        assert_eq!(sizes.0.lock().unwrap().0.len(), MOST);
        assert_eq!(get(2, 13), 13, "made again");
    }
}
