//! Names to files: from the cache where they are there, else from the hub.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use imbed_core::{
    Error, ErrorKind, FetchProgress, FetchScope, Result,
    fetch::{Download, FileChoice, Files, Wanted},
};

use crate::{
    cache::Repo,
    download::{Counted, Fetch, is_here},
    http::Client,
    listing::{Listing, RemoteFile},
    name::ModelName,
    needed::Checkpoint,
    settings::Settings,
};

/// The cache on this machine and the hub behind it.
#[derive(Debug)]
pub struct Hub {
    pub(crate) settings: Settings,
    choice: Arc<dyn FileChoice>,
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
        Self { settings, choice: Arc::new(Checkpoint), client: OnceLock::new() }
    }

    /// Takes other files of a model than those of a [`Checkpoint`].
    #[must_use]
    pub fn choosing(mut self, choice: Arc<dyn FileChoice>) -> Self {
        self.choice = choice;
        self
    }

    /// The cache's folder.
    pub fn cache(&self) -> &Path {
        &self.settings.cache
    }

    /// The model's files as they are in the cache, without a request; an error where some that `scope` needs are missing.
    pub fn local(&self, name: &ModelName, scope: FetchScope) -> Result<Snapshot> {
        self.here(name, scope).map(|(snapshot, _)| snapshot)
    }

    /// The model's files, downloaded where they are not here yet.
    ///
    /// A model that is in the cache costs no request: it stays as it is until [`pull`](Self::pull) asks for its newest state.
    /// Only where the cache cannot tell whether the model has files that would be preferred, the hub is asked once.
    pub fn fetch(&self, name: &ModelName, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<Snapshot> {
        match self.here(name, scope) {
            Ok((snapshot, wanted)) if self.settings.offline || self.is_settled(&snapshot, &wanted) => Ok(snapshot),
            Err(error) if self.settings.offline => Err(error),
            _ => Ok(self.bring(name, scope, progress)?.snapshot),
        }
    }

    /// Asks the hub which commit `name` stands at now, and downloads what is not here of its files.
    pub fn pull(&self, name: &ModelName, progress: &mut dyn FetchProgress) -> Result<Pulled> {
        if !self.settings.offline {
            return self.bring(name, FetchScope::Everything, progress);
        }
        let (snapshot, Wanted { files, .. }) = self.here(name, FetchScope::Everything)?;
        let size = |file: &String| std::fs::metadata(snapshot.folder.join(file)).map_or(0, |file| file.len());
        Ok(Pulled { bytes: files.iter().map(size).sum(), files, downloaded_bytes: 0, snapshot })
    }

    /// What is in the cache, and which files of it are meant, if all of these are there.
    fn here(&self, name: &ModelName, scope: FetchScope) -> Result<(Snapshot, Wanted)> {
        let repo = self.repo(name);
        let Some(snapshot) = snapshot(&repo, name) else {
            let message = format!("{name} is not downloaded: the cache {} does not have it", self.cache().display());
            return Err(self.not_here(name, message));
        };
        let here = Here { repo: &repo, commit: &snapshot.commit };
        let wanted = self.choice.wanted(&here, scope).map_err(|e| e.context(name))?;
        let missing = missing(&here, &wanted);
        if missing.is_empty() {
            return Ok((snapshot, wanted));
        }
        let (folder, missing) = (snapshot.folder.display(), missing.join(", "));
        Err(self.not_here(name, format!("{name} is not downloaded completely: {folder} lacks {missing}")))
    }

    /// Whether the hub could say nothing that makes another choice of files.
    fn is_settled(&self, snapshot: &Snapshot, wanted: &Wanted) -> bool {
        let repo = self.repo(&snapshot.name);
        wanted.if_there.iter().all(|file| repo.is_known_absent(&snapshot.commit, file))
    }

    pub(crate) fn repo(&self, name: &ModelName) -> Repo {
        Repo::new(&self.settings.cache, name)
    }

    fn not_here(&self, name: &ModelName, message: String) -> Error {
        let arguments = self.choice.arguments();
        let pull = format!("`imbed models pull {name}{}{arguments}`", if arguments.is_empty() { "" } else { " " });
        let hint = if self.settings.offline {
            format!(
                "nothing is downloaded here (--offline, HF_HUB_OFFLINE, or offline in imbed.toml); without that, \
                 {pull} downloads it"
            )
        } else {
            format!("download it with {pull}, or name a folder that holds it")
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
        let mut downloaded = 0;
        let if_there = loop {
            let listed = Both { listing: &listing, here: Here { repo: &repo, commit: &listing.commit } };
            let wanted = self.choice.wanted(&listed, scope).map_err(|e| e.context(name))?;
            let before = bringing.done.len();
            downloaded += bringing.download(&wanted.files)?;
            // A file that has just come may name more files than were known before.
            if bringing.done.len() == before {
                break wanted.if_there;
            }
        };
        let files = bringing.done;
        for absent in if_there.iter().filter(|file| !listing.has(file)) {
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

/// The files that are wanted and not here, by name.
pub(crate) fn missing(here: &dyn Files, wanted: &Wanted) -> Vec<String> {
    wanted.files.iter().filter(|name| !here.has(name)).cloned().collect()
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

    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.repo.snapshot(self.commit).join(name);
        path.is_file().then_some(path)
    }

    fn names(&self) -> BTreeSet<String> {
        self.repo.files(self.commit)
    }
}

/// The files on the hub, and where those are that are here.
struct Both<'a> {
    listing: &'a Listing,
    here: Here<'a>,
}

impl Files for Both<'_> {
    fn has(&self, name: &str) -> bool {
        self.listing.has(name)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.here.path(name)
    }

    fn names(&self) -> BTreeSet<String> {
        self.listing.names()
    }
}
