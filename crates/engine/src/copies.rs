//! Identical images of a run are embedded once: the first row with an image is its original, the others are copies.
//!
//! ```text
//! prepare workers   claim(fingerprint, row) --> original: prepare it         copy of an earlier row: nothing to prepare
//! batcher           in row order, so that   --> take: into a batch           join: wait, or its outcome at once
//! model workers     which rows share a      --> settle: those who wait have the outcome too
//!                   batch hangs on the input
//! ```
//!
//! What is remembered is bounded ([`REMEMBERED_BYTES`]), oldest out first, and so are the copies that may wait. A row holds its original
//! itself, so nothing that is forgotten is lost for a row that is under way.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use imbed_core::Error;

use crate::{fingerprint::Fingerprint, rows::Slot};

/// What the remembered images of a run may take, in bytes: 14,500 images whose vectors have 512 numbers.
pub(crate) const REMEMBERED_BYTES: usize = 32 << 20;

/// What an image takes beside its vector, in bytes: its fingerprint in the table and in the queue, both of which have room to grow, and
/// its original.
const OVERHEAD: usize = 256;

/// The images of a run that were seen.
#[derive(Debug)]
pub(crate) struct Copies {
    most: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// With the earliest row that prepares it.
    images: HashMap<Fingerprint, (u64, Arc<Original>)>,
    /// Oldest first.
    order: VecDeque<Fingerprint>,
}

/// An image, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Original(Mutex<State>);

#[derive(Debug)]
enum State {
    Open {
        /// Which batch it is in, once it is.
        batch: Option<u64>,
        copies: Vec<Slot>,
    },
    Settled(Settled),
}

/// What became of an image.
#[derive(Debug, Clone)]
pub(crate) enum Settled {
    Vector(Arc<[f32]>),
    /// What is done to images before the model's preprocessing made it null.
    Null,
    Failed(Error),
}

/// Where a copy stands after [`Original::join`].
#[derive(Debug)]
pub(crate) enum Joined {
    /// It need not wait.
    Settled(Slot, Settled),
    /// It waits for this batch.
    Waits(Option<u64>),
}

/// A row's image, and who embeds it.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) fingerprint: Fingerprint,
    /// `None` where every row is embedded, identical or not.
    pub(crate) original: Option<Arc<Original>>,
}

impl Copies {
    /// For vectors of `size` numbers.
    pub(crate) fn new(size: usize) -> Self {
        Self { most: (REMEMBERED_BYTES / (OVERHEAD + size * size_of::<f32>())).max(1), seen: Mutex::default() }
    }

    /// The original of the image in row `sequence`, and whether an earlier row prepares it already.
    ///
    /// Rows come as the workers get to them. One that comes before the row that has claimed its image prepares it too, so that
    /// whoever meets the rows in their order finds the image at the first of them.
    pub(crate) fn claim(&self, fingerprint: Fingerprint, sequence: u64) -> (Arc<Original>, bool) {
        let mut seen = lock(&self.seen);
        if let Some((first, original)) = seen.images.get_mut(&fingerprint) {
            let is_copy = *first < sequence;
            *first = sequence.min(*first);
            return (Arc::clone(original), is_copy);
        }
        if seen.order.len() >= self.most
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.images.remove(&oldest);
        }
        let original = Arc::<Original>::default();
        seen.images.insert(fingerprint, (sequence, Arc::clone(&original)));
        seen.order.push_back(fingerprint);
        (original, false)
    }

    /// Forgets an image that failed for a passing reason: the next row with it tries again.
    pub(crate) fn forget(&self, claim: &Claim) {
        let mut seen = lock(&self.seen);
        let Some(meant) = &claim.original else { return };
        if seen.images.get(&claim.fingerprint).is_some_and(|(_, original)| Arc::ptr_eq(original, meant)) {
            seen.images.remove(&claim.fingerprint);
            seen.order.retain(|fingerprint| *fingerprint != claim.fingerprint);
        }
    }
}

impl Original {
    /// Puts the image into batch `batch`; `false` if it is in one already, or settled.
    pub(crate) fn take(&self, batch: u64) -> bool {
        match &mut *lock(&self.0) {
            State::Open { batch: unset @ None, .. } => {
                *unset = Some(batch);
                true
            }
            _ => false,
        }
    }

    /// What became of it, if that is known.
    pub(crate) fn settled(&self) -> Option<Settled> {
        match &*lock(&self.0) {
            State::Settled(settled) => Some(settled.clone()),
            State::Open { .. } => None,
        }
    }

    /// Lets a copy wait, or gives it what is known.
    pub(crate) fn join(&self, slot: Slot) -> Joined {
        match &mut *lock(&self.0) {
            State::Settled(settled) => Joined::Settled(slot, settled.clone()),
            State::Open { batch, copies } => {
                copies.push(slot);
                Joined::Waits(*batch)
            }
        }
    }

    /// Says what became of it, and gives the copies that waited. The first to say so is believed.
    pub(crate) fn settle(&self, outcome: Settled) -> Vec<Slot> {
        let mut state = lock(&self.0);
        if matches!(*state, State::Settled(_)) {
            return Vec::new();
        }
        match std::mem::replace(&mut *state, State::Settled(outcome)) {
            State::Open { copies, .. } => copies,
            State::Settled(_) => Vec::new(),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Open { batch: None, copies: Vec::new() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, BinaryArray};

    use super::*;
    use crate::{input::Images, rows::Source};

    fn slot(row: usize) -> Slot {
        let none: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"cat"]));
        let images = Images::Encoded(none);
        Slot { source: Arc::new(Source { chunk: 0, first_row: 0, images, steps: None, labels: None, bytes: 0 }), row }
    }

    fn vector(settled: Option<Settled>) -> Option<Vec<f32>> {
        match settled {
            Some(Settled::Vector(vector)) => Some(vector.to_vec()),
            _ => None,
        }
    }

    #[test]
    fn later_rows_are_copies_and_earlier_ones_prepare_the_image_too() {
        let copies = Copies::new(4);
        let cat = Fingerprint::made_of(0);
        let (original, is_copy) = copies.claim(cat, 5);
        assert!(!is_copy);
        assert!(copies.claim(cat, 7).1);
        let (same, is_copy) = copies.claim(cat, 3);
        assert!(!is_copy && Arc::ptr_eq(&same, &original));
        assert!(copies.claim(cat, 4).1, "row 3 prepares it");
        assert!(!copies.claim(Fingerprint::made_of(1), 8).1);
    }

    #[test]
    fn copies_wait_until_the_image_is_settled_and_no_longer() {
        let original = Original::default();
        assert!(original.take(9) && !original.take(9));
        assert!(matches!(original.join(slot(1)), Joined::Waits(Some(9))));
        assert!(original.settled().is_none());
        let waited = original.settle(Settled::Vector([1.0, 2.0].into()));
        assert_eq!(waited.iter().map(|slot| slot.row).collect::<Vec<_>>(), [1]);
        assert!(original.settle(Settled::Null).is_empty() && !original.take(10));
        let Joined::Settled(slot, settled) = original.join(slot(2)) else { panic!("it need not wait") };
        assert_eq!((slot.row, vector(Some(settled))), (2, Some(vec![1.0, 2.0])));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let copies = Copies::new(REMEMBERED_BYTES / 16);
        let most = copies.most as u64;
        assert!(most >= 1 && most * REMEMBERED_BYTES as u64 / 4 <= REMEMBERED_BYTES as u64, "{most} large vectors");
        let claim = |n, row| copies.claim(Fingerprint::made_of(n), row).1;
        for n in 0..most {
            assert!(!claim(n, n));
        }
        assert!(claim(0, most));
        assert!(!claim(most, most + 1), "a new image takes the place of the first");
        assert!(!claim(0, most + 2), "which is forgotten");
        assert_eq!(lock(&copies.seen).images.len() as u64, most);
    }

    #[test]
    fn who_holds_an_image_keeps_it_when_it_is_forgotten() {
        let copies = Copies::new(4);
        let fingerprint = Fingerprint::made_of(0);
        let (original, _) = copies.claim(fingerprint, 0);
        copies.forget(&Claim { fingerprint, original: Some(Arc::clone(&original)) });
        let (again, is_copy) = copies.claim(fingerprint, 1);
        assert!(!is_copy && !Arc::ptr_eq(&again, &original));
        copies.forget(&Claim { fingerprint, original: Some(original) });
        assert!(copies.claim(fingerprint, 2).1, "only the image that was meant is forgotten");
    }
}
