//! What a runner prepares once for every size of image.

use std::sync::{Arc, Mutex, PoisonError};

use imbed_core::Result;

/// Sizes remembered. A model of one size needs one; one that reads any proportion meets a few dozen, and what is kept
/// for each is about a megabyte.
const MOST: usize = 32;

/// One `T` per size in pixels, rows and columns, those last used first.
#[derive(Debug)]
pub struct PerSize<T>(Mutex<Vec<Kept<T>>>);

/// A size and what was made for it.
type Kept<T> = ((usize, usize), Arc<T>);

impl<T> Default for PerSize<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> PerSize<T> {
    /// What `make` gave for `size`, now or before.
    pub fn get(&self, size: (usize, usize), make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = lock();
        if let Some(place) = kept.iter().position(|(known, _)| *known == size) {
            kept[..=place].rotate_right(1);
            return Ok(kept[0].1.clone());
        }
        drop(kept);
        // Not under the lock: others go on with their sizes meanwhile. Two may make the same, which is the same.
        let made = Arc::new(make()?);
        let mut kept = lock();
        kept.insert(0, (size, made.clone()));
        kept.truncate(MOST);
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
        assert_eq!(sizes.0.lock().unwrap().len(), MOST);
        assert_eq!(get(2, 13), 13, "made again");
    }
}
