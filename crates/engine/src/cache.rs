//! Vectors of earlier runs, in a folder.
//!
//! ```text
//! FOLDER/<key>/about.json    what the key stands for, for people
//!              0.keys        header, then 8 bytes for each vector: the start of its image's fingerprint
//!              0.vectors     header, then for each vector its numbers (f32, little-endian) and a checksum of 16 bytes
//!              0.lock        held by the process that appends to the two
//!              1.keys, …     of another process that appended at the same time
//! ```
//!
//! The [`Key`] is made of everything that decides a vector, so there is nothing to invalidate. A checksum covers key, whole fingerprint
//! and numbers: a vector that comes back is this image's, whatever happened to the files. Files only grow; what is torn at
//! their end is passed over, and cut off by the next who appends.

mod header;
mod key;
mod segment;
mod writer;

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use imbed_core::{Error, Result};

pub(crate) use key::Key;
use segment::Segment;
use writer::Writer;

use crate::fingerprint::Fingerprint;

/// The vectors of one model with one set of options.
#[derive(Debug)]
pub(crate) struct Cache {
    key: Key,
    size: usize,
    segments: Vec<Segment>,
    /// Where vectors are, by the start of their image's fingerprint.
    places: Vec<Place>,
    writer: Mutex<Writer>,
}

/// Where a vector is: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    prefix: u64,
    segment: u32,
    row: u32,
}

impl Cache {
    /// What `folder` holds for `key`, whose vectors have `size` numbers. Makes the folder if need be.
    pub(crate) fn open(folder: &Path, key: Key, size: usize) -> Result<Self> {
        let own = folder.join(key.name());
        fs::create_dir_all(&own).map_err(|e| {
            Error::io(format!("{}: vectors cannot be kept there", folder.display()), e)
                .hint("name a folder that may be written to with --cache, or leave it out")
        })?;
        let (mut segments, mut places) = (Vec::new(), Vec::new());
        for number in segment::numbers(&own) {
            match Segment::open(&own, number, &key, size) {
                Ok((segment, prefixes)) => {
                    let place = |(row, prefix)| Place { prefix, segment: segments.len() as u32, row };
                    places.extend((0..).zip(prefixes).map(place));
                    segments.push(segment);
                }
                // The others may be sound, and an image that is not found is embedded.
                Err(error) => tracing::debug!(%error, number, "a part of the cache is passed over"),
            }
        }
        places.sort_unstable();
        Ok(Self { writer: Mutex::new(Writer::new(own)), key, size, segments, places })
    }

    /// The vector of an image, if it was there when the cache was opened and is sound.
    pub(crate) fn get(&self, image: &Fingerprint) -> Option<Arc<[f32]>> {
        let prefix = prefix(image);
        let first = self.places.partition_point(|place| place.prefix < prefix);
        let mut same = self.places[first..].iter().take_while(|place| place.prefix == prefix);
        same.find_map(|place| self.segments[place.segment as usize].vector(place.row, &self.key, image, self.size))
    }

    /// Adds vectors for later runs. What goes wrong is [`failure`](Self::failure) from then on, and nothing is added any more.
    pub(crate) fn put<'a>(&self, vectors: impl Iterator<Item = (&'a Fingerprint, &'a [f32])>) {
        self.writer().put(&self.key, self.size, vectors);
    }

    /// Why vectors of this run are not kept, if something went wrong.
    pub(crate) fn failure(&self) -> Option<String> {
        self.writer().failure().map(str::to_owned)
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an image is found by, before its whole fingerprint is checked.
fn prefix(image: &Fingerprint) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *image.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use imbed_core::{Device, arrow::Provenance, image::DecodeOptions};
    use proptest::prelude::*;

    use super::*;

    const SIZE: usize = 3;

    fn key(model: &str) -> Key {
        let made = Provenance { model: model.to_owned(), ..Provenance::default() };
        Key::new(&made, SIZE, &[Device::Cpu], &DecodeOptions::default()).unwrap()
    }

    fn open(folder: &Path) -> Cache {
        Cache::open(folder, key("clip"), SIZE).unwrap()
    }

    fn image(n: u64) -> Fingerprint {
        Fingerprint::made_of(n)
    }

    fn vector(n: u64) -> [f32; SIZE] {
        [n as f32, f32::MIN_POSITIVE / 3.0, -0.0]
    }

    fn put(cache: &Cache, images: std::ops::Range<u64>) {
        for n in images {
            cache.put([(&image(n), &vector(n)[..])].into_iter());
        }
        assert_eq!(cache.failure(), None);
    }

    fn found(cache: &Cache, n: u64) -> Option<Vec<u32>> {
        Some(cache.get(&image(n))?.iter().map(|x| x.to_bits()).collect())
    }

    fn bits(n: u64) -> Vec<u32> {
        vector(n).iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn vectors_are_found_by_the_next_who_opens_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(folder.path());
        put(&cache, 0..20);
        assert_eq!(found(&cache, 3), None, "what a run adds is for later runs");
        drop(cache);
        let again = open(folder.path());
        assert!((0..20).all(|n| found(&again, n) == Some(bits(n))));
        assert_eq!(found(&again, 20), None);
        put(&again, 20..21);
        assert_eq!(segment::numbers(&folder.path().join(key("clip").name())), [0], "one writer, one segment");
        drop(again);
        assert_eq!(found(&open(folder.path()), 20), Some(bits(20)));
        let other = Cache::open(folder.path(), key("siglip"), SIZE).unwrap();
        assert_eq!(found(&other, 3), None, "another model has its own");
    }

    #[test]
    fn those_who_append_at_once_do_not_meet_and_everybody_reads_both() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (open(folder.path()), open(folder.path()));
        put(&one, 0..5);
        put(&two, 3..9);
        put(&one, 9..10);
        let own = folder.path().join(key("clip").name());
        assert_eq!(segment::numbers(&own), [0, 1]);
        assert!((0..10).all(|n| found(&open(folder.path()), n) == Some(bits(n))));
        drop((one, two));
        put(&open(folder.path()), 10..11);
        assert_eq!(segment::numbers(&own), [0, 1]);
        assert!(own.join("about.json").exists());
    }

    #[test]
    fn a_torn_end_is_passed_over_and_mended_by_the_next_who_appends() {
        let folder = tempfile::tempdir().unwrap();
        put(&open(folder.path()), 0..10);
        let own = folder.path().join(key("clip").name());
        let cut = |path: std::path::PathBuf, bytes| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
        };
        cut(segment::vectors(&own, 0), 1);
        let torn = open(folder.path());
        assert!((0..9).all(|n| found(&torn, n) == Some(bits(n))));
        assert_eq!(found(&torn, 9), None);
        put(&torn, 10..12);
        drop(torn);
        cut(segment::keys(&own, 0), 3);
        let torn = open(folder.path());
        assert_eq!((found(&torn, 10), found(&torn, 11)), (Some(bits(10)), None));
        put(&torn, 12..14);
        drop(torn);
        let mended = open(folder.path());
        assert!([0, 8, 10, 12, 13].into_iter().all(|n| found(&mended, n) == Some(bits(n))));
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_with_a_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::open(&file, key("clip"), SIZE).unwrap_err();
        assert!(error.message().contains("file: vectors cannot be kept there"), "{error}");
        assert!(error.hint_text().unwrap().contains("--cache"));
    }

    #[test]
    fn what_cannot_be_written_is_said_once_and_what_is_there_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        put(&open(folder.path()), 0..1);
        let lock = segment::lock(&folder.path().join(key("clip").name()), 0);
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        let cache = open(folder.path());
        cache.put([(&image(1), &vector(1)[..])].into_iter());
        let failure = cache.failure().unwrap();
        assert!(failure.contains("vectors are not kept any more"), "{failure}");
        cache.put([(&image(2), &vector(2)[..])].into_iter());
        assert_eq!(cache.failure(), Some(failure));
        assert_eq!(found(&cache, 0), Some(bits(0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn whatever_happens_to_the_files_a_vector_that_is_found_is_the_right_one(
            file in 0usize..2, place: prop::sample::Index, byte: u8, kind in 0u8..3,
        ) {
            let folder = tempfile::tempdir().unwrap();
            put(&open(folder.path()), 0..12);
            let own = folder.path().join(key("clip").name());
            let path = [segment::keys(&own, 0), segment::vectors(&own, 0)][file].clone();
            let mut bytes = fs::read(&path).unwrap();
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] ^= byte,
                1 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
            fs::write(&path, bytes).unwrap();
            let damaged = open(folder.path());
            for n in 0..12 {
                let found = found(&damaged, n);
                prop_assert!(found.is_none() || found == Some(bits(n)));
            }
            // And others are kept all the same.
            put(&damaged, 12..14);
            drop(damaged);
            let again = open(folder.path());
            for n in 0..14 {
                let found = found(&again, n);
                prop_assert!(found == Some(bits(n)) || (found.is_none() && n < 12), "{n}");
            }
        }
    }
}
