//! Bringing a model's files to this machine, before anything is planned with them.
//!
//! [`Provider::image_embedder`](crate::Provider::image_embedder) reads what is here and never uses the network. A front end
//! that may use it calls [`Provider::fetch`](crate::Provider::fetch) first (or [`Session::fetch`](crate::Session::fetch),
//! which finds the provider and keeps to the user's wish to stay offline), and shows what happens through [`FetchProgress`].
//!
//! Which files of a model a provider reads is its [`FileChoice`], made over whatever has [`Files`].

mod files;
mod text;

pub use files::{FileChoice, Files, Wanted};
pub use text::read_text;

/// How much of a model is to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchScope {
    /// What a descriptor is made from: a few kilobytes, and no weights unless a file holds both.
    Configuration,
    /// What the model is loaded from.
    Everything,
}

/// A download that is about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The model, as the user named it.
    pub model: String,
    /// Where it comes from, such as `huggingface.co`.
    pub from: String,
    /// How many files are downloaded.
    pub files: usize,
    /// Their size in bytes, including what an interrupted download left here.
    pub bytes: u64,
}

/// What a fetch tells whoever waits for it. All of it may be ignored: `()` does.
pub trait FetchProgress {
    /// A download begins. Not called where everything is here already.
    fn begin(&mut self, download: &Download) {
        let _ = download;
    }

    /// This many bytes of the download are here. May go back, where a part has to be fetched again.
    fn position(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Something that takes time and is no failure: a busy server, another process that downloads the same file.
    fn waiting(&mut self, why: &str) {
        let _ = why;
    }

    /// The download that began is complete.
    fn finish(&mut self) {}
}

impl FetchProgress for () {}
