//! Where parts lie: a folder of this machine, or one in a bucket.

#[cfg(feature = "sql")]
mod bucket;
mod local;

use std::fmt::Debug;

use imbed::core::Result;
use parquet::file::metadata::ParquetMetaData;

#[cfg(feature = "sql")]
pub(super) use self::bucket::Bucket;
pub(super) use self::local::{Local, footer};
use crate::sink::atomic::AtomicFile;

/// A folder of parts. Everything that changes it does so whole or not at all.
pub(super) trait Place: Debug {
    /// Its name for messages.
    fn shown(&self) -> String;

    /// The names of everything in it, sorted, but not what imbed itself hides there.
    fn names(&self) -> Result<Vec<String>>;

    /// Makes it if need be and takes hold of it, alone, until the place is dropped. What a run that died has left half written
    /// is removed.
    fn hold(&mut self) -> Result<()>;

    /// From here on it stays when the program ends.
    fn stays(&mut self);

    /// From here on it goes away with the program again, if it was made for it and is empty.
    fn passes(&mut self);

    /// What a Parquet file in it says of itself: an error if it is none, or not whole.
    fn footer(&self, name: &str) -> Result<(ParquetMetaData, u64)>;

    /// A file to write a part into.
    fn create(&self) -> Result<AtomicFile>;

    /// Gives a part that is written its name, and says how many bytes it has. When this returns, it outlasts a loss of power.
    fn put(&self, file: AtomicFile, name: &str) -> Result<u64>;

    fn rename(&self, from: &str, to: &str) -> Result<()>;

    fn remove(&self, name: &str) -> Result<()>;

    /// The content of a small file; `None` where there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes a small file, in place of one that is there.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()>;
}
