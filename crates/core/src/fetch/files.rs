//! Which files of a model are wanted of those that there are.

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc};

use super::FetchScope;
use crate::Result;

/// The files of a model somewhere: as a hub lists them, in a cache, in a folder. Names are relative and have `/` between
/// their parts.
pub trait Files {
    /// Whether there is a file `name`.
    fn has(&self, name: &str) -> bool;

    /// Whether it is known that there is no file `name`. A cache that does not have it says nothing of the model.
    fn lacks(&self, name: &str) -> bool {
        !self.has(name)
    }

    /// Where the file `name` can be read without a download.
    fn path(&self, name: &str) -> Option<PathBuf>;

    /// All names.
    fn names(&self) -> BTreeSet<String>;
}

/// The files that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// These.
    pub files: Vec<String>,
    /// Files that would be wanted too, or instead of one of those, if they existed. Where that is not known, whoever may ask
    /// for it asks.
    pub if_there: Vec<String>,
}

/// What a provider takes of a model on a hub.
pub trait FileChoice: fmt::Debug + Send + Sync {
    /// What is wanted of `files`, as far as `scope` goes.
    ///
    /// An error where it is certain that the files are none that the provider can use. A file that names others, such as an
    /// index of shards, may not be here yet: the choice is made again when it has come.
    fn wanted(&self, files: &dyn Files, scope: FetchScope) -> Result<Wanted>;

    /// The choices that the provider makes with other options, by which it is told what in a cache is complete.
    fn others(&self) -> Vec<Arc<dyn FileChoice>> {
        Vec::new()
    }

    /// The arguments by which `imbed models pull NAME` makes this choice, such as `--provider mine`; empty for its usual one.
    fn arguments(&self) -> String {
        String::new()
    }
}
