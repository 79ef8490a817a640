//! Names to files: from the cache where they are there, else from the hub.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use imbed_core::{Error, ErrorKind, FetchProgress, FetchScope, Result, fetch::Download};

use crate::{
    cache::Repo,
    download::{Counted, Fetch, is_here},
    http::Client,
    listing::{Listing, RemoteFile},
    name::ModelName,
    needed::{self, Files},
    settings::Settings,
};

/// The cache on this machine and the hub behind it.
#[derive(Debug)]
pub struct Hub {
    pub(crate) settings: Settings,
    client: OnceLock<Client>,
}

/// A model's files on this machine, at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The model as it was named.
    pub name: ModelName,
    /// The commit, which means these files for ever.
    pub commit: String,
    /// The folder with the files, as links into the cache.
    pub folder: PathBuf,
}

/// What [`Hub::pull`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The model's files.
    pub snapshot: Snapshot,
    /// Those that are needed, by name.
    pub files: Vec<String>,
    /// Their size.
    pub bytes: u64,
    /// What was downloaded of it; nothing where all was here.
    pub downloaded_bytes: u64,
}

impl Hub {
    /// The cache and the hub that the environment names.
    pub fn from_env() -> Result<Self> {
        Ok(Self::new(Settings::from_env()?))
    }

    /// The cache and the hub of `settings`.
    pub fn new(settings: Settings) -> Self {
        Self { settings, client: OnceLock::new() }
    }

    /// The cache's folder.
    pub fn cache(&self) -> &Path {
        &self.settings.cache
    }

    /// The model's files as they are in the cache, without a request; an error where some that `scope` needs are missing.
    pub fn local(&self, name: &ModelName, scope: FetchScope) -> Result<Snapshot> {
        let repo = self.repo(name);
        let Some(snapshot) = snapshot(&repo, name) else {
            let message = format!("{name} is not downloaded: the cache {} does not have it", self.cache().display());
            return Err(self.not_here(name, message));
        };
        let missing = needed::missing(&Here { repo: &repo, commit: &snapshot.commit }, scope == FetchScope::Everything)
            .map_err(|e| e.context(name))?;
        if missing.is_empty() {
            return Ok(snapshot);
        }
        let (folder, missing) = (snapshot.folder.display(), missing.join(", "));
        Err(self.not_here(name, format!("{name} is not downloaded completely: {folder} lacks {missing}")))
    }

    /// The model's files, downloaded where they are not here yet.
    ///
    /// A model that is in the cache costs no request: it stays as it is until [`pull`](Self::pull) asks for its newest state.
    pub fn fetch(&self, name: &ModelName, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<Snapshot> {
        match self.local(name, scope) {
            Ok(snapshot) => Ok(snapshot),
            Err(error) if self.settings.offline => Err(error),
            Err(_) => Ok(self.bring(name, scope, progress)?.snapshot),
        }
    }

    /// Asks the hub which commit `name` stands at now, and downloads what is not here of its files.
    pub fn pull(&self, name: &ModelName, progress: &mut dyn FetchProgress) -> Result<Pulled> {
        if !self.settings.offline {
            return self.bring(name, FetchScope::Everything, progress);
        }
        let snapshot = self.local(name, FetchScope::Everything)?;
        let repo = self.repo(name);
        let here = Here { repo: &repo, commit: &snapshot.commit };
        let mut files = needed::configuration(&here);
        files.extend(needed::weights(&here)?.unwrap_or_default());
        let size = |file: &String| std::fs::metadata(snapshot.folder.join(file)).map_or(0, |file| file.len());
        Ok(Pulled { bytes: files.iter().map(size).sum(), files, downloaded_bytes: 0, snapshot })
    }

    pub(crate) fn repo(&self, name: &ModelName) -> Repo {
        Repo::new(&self.settings.cache, name)
    }

    fn not_here(&self, name: &ModelName, message: String) -> Error {
        let hint = if self.settings.offline {
            format!(
                "nothing is downloaded here (--offline, HF_HUB_OFFLINE, or offline in imbed.toml); without that, \
                 `imbed models pull {name}` downloads it"
            )
        } else {
            format!("download it with `imbed models pull {name}`, or name a folder that holds it")
        };
        Error::new(ErrorKind::UnknownModel, message).hint(hint)
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.settings)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn bring(&self, name: &ModelName, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<Pulled> {
        let client = self.client()?;
        let listing = Listing::of(client, name, progress)?;
        let repo = self.repo(name);
        let mut bringing = Bringing { client, repo: &repo, name, listing: &listing, progress, done: Vec::new() };
        let mut wanted = needed::configuration(&listing);
        let mut downloaded = 0;
        loop {
            if scope == FetchScope::Everything {
                let listed = Both { listing: &listing, here: Here { repo: &repo, commit: &listing.commit } };
                let weights = needed::weights(&listed).map_err(|e| e.context(name))?;
                wanted.extend(weights.ok_or_else(|| no_weights(name, &listing))?);
            }
            let before = bringing.done.len();
            downloaded += bringing.download(&wanted)?;
            // An index that has just come may list more files than were known from the names.
            if bringing.done.len() == before {
                break;
            }
        }
        let files = bringing.done;
        for absent in needed::absent(&listing) {
            repo.set_absent(&listing.commit, absent)?;
        }
        repo.set_commit(name.revision(), &listing.commit)?;
        let folder = repo.snapshot(&listing.commit);
        Ok(Pulled {
            bytes: files.iter().map(|file| file.size).sum(),
            files: files.into_iter().map(|file| file.name).collect(),
            downloaded_bytes: downloaded,
            snapshot: Snapshot { name: name.clone(), commit: listing.commit, folder },
        })
    }
}

/// What the cache has of `name`, whole or not.
fn snapshot(repo: &Repo, name: &ModelName) -> Option<Snapshot> {
    let commit = repo.commit(name.revision())?;
    let folder = repo.snapshot(&commit);
    folder.is_dir().then(|| Snapshot { name: name.clone(), commit, folder })
}

/// A model on its way into the cache.
struct Bringing<'a> {
    client: &'a Client,
    repo: &'a Repo,
    name: &'a ModelName,
    listing: &'a Listing,
    progress: &'a mut dyn FetchProgress,
    done: Vec<RemoteFile>,
}

impl Bringing<'_> {
    /// Downloads those of `names` that are not here. Gives the size of those.
    fn download(&mut self, names: &[String]) -> Result<u64> {
        let commit = &self.listing.commit;
        let mut wanted: Vec<RemoteFile> = Vec::new();
        for name in names {
            let known = |files: &[RemoteFile]| files.iter().any(|file| file.name == *name);
            if known(&self.done) || known(&wanted) {
                continue;
            }
            let file = self.listing.file(self.client, self.name, name, self.progress)?;
            if is_here(&self.repo.snapshot(commit).join(name), file.size) {
                self.done.push(file);
            } else if is_here(&self.repo.blob(&file.digest), file.size) {
                // The same content as in another commit.
                self.repo.link(commit, name, &file.digest)?;
                self.done.push(file);
            } else {
                wanted.push(file);
            }
        }
        if wanted.is_empty() {
            return Ok(0);
        }
        let bytes = wanted.iter().map(|file| file.size).sum();
        self.progress.begin(&Download {
            model: self.name.to_string(),
            from: self.client.host().to_owned(),
            files: wanted.len(),
            bytes,
        });
        let mut counted = Counted { progress: self.progress, before: 0 };
        for file in &wanted {
            Fetch { client: self.client, repo: self.repo, model: self.name, commit, file }.run(&mut counted)?;
            self.repo.link(commit, &file.name, &file.digest)?;
            counted.before += file.size;
        }
        self.progress.finish();
        self.done.extend(wanted);
        Ok(bytes)
    }
}

/// The files of a commit that are in the cache.
pub(crate) struct Here<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) commit: &'a str,
}

impl Files for Here<'_> {
    fn has(&self, name: &str) -> bool {
        self.repo.snapshot(self.commit).join(name).is_file()
    }

    fn lacks(&self, name: &str) -> bool {
        self.repo.is_known_absent(self.commit, name)
    }

    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.repo.snapshot(self.commit).join(name)).ok()
    }

    fn names(&self) -> BTreeSet<String> {
        self.repo.files(self.commit)
    }
}

/// The files on the hub, and the text of those that are here.
struct Both<'a> {
    listing: &'a Listing,
    here: Here<'a>,
}

impl Files for Both<'_> {
    fn has(&self, name: &str) -> bool {
        self.listing.has(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.here.text(name)
    }

    fn names(&self) -> BTreeSet<String> {
        self.listing.names()
    }
}

fn no_weights(name: &ModelName, listing: &Listing) -> Error {
    let all: Vec<String> = listing.names().into_iter().filter(|file| !file.starts_with('.')).collect();
    let more = if all.len() > 8 { ", …" } else { "" };
    Error::new(ErrorKind::UnknownModel, format!("{name} has no weights in a format that is read")).hint(format!(
        "safetensors and pytorch_model.bin are read; it has {}{more}",
        all[..all.len().min(8)].join(", ")
    ))
}
