//! Where parts go, checked: what is there already, and whether this run may go on with it.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
    time::Instant,
};

use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

#[cfg(feature = "sql")]
use super::place::Bucket;
use super::{
    Counts, Home, Note, Parts, Pool, RunIdentity,
    manifest::{self, Manifest},
    name,
    place::{self, Local, Place},
    pool::{At, Part},
    stretch::{FileFooter, PartFooter},
};
use crate::sink::{WholeTarget, atomic};

/// What becomes of an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is refused.
    New,
    /// It is gone on with.
    Resume,
    /// It is replaced.
    Overwrite,
}

/// An output in parts.
#[derive(Debug, Clone)]
pub(crate) struct PartsTarget {
    form: Form,
    mode: Mode,
    part_rows: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// A folder that keeps its parts.
    Folder(PathBuf),
    /// The same in a bucket.
    #[cfg(feature = "sql")]
    Bucket(String),
    /// One file, made of parts that lie beside it in the meantime.
    File(PathBuf),
}

/// What is opened with a target.
pub(crate) struct Opening<'a> {
    pub(crate) identity: RunIdentity,
    pub(crate) schema: &'a SchemaRef,
    /// The name of the column of vectors.
    pub(crate) vectors: &'a str,
    /// Embeds parts that hold failed rows again.
    pub(crate) retry_failed: bool,
    pub(crate) notes: Receiver<Note>,
    /// Takes lines that the user should read.
    pub(crate) warn: &'a dyn Fn(&str),
}

impl PartsTarget {
    /// The folder `path`, which may not exist yet.
    pub(crate) fn folder(path: PathBuf, mode: Mode, part_rows: Option<u64>) -> Self {
        Self { form: Form::Folder(path), mode, part_rows }
    }

    /// The folder at `address`, in a bucket.
    #[cfg(feature = "sql")]
    pub(crate) fn bucket(address: &str, mode: Mode, part_rows: Option<u64>) -> Self {
        Self { form: Form::Bucket(address.to_owned()), mode, part_rows }
    }

    /// The file `path`.
    pub(crate) fn file(path: PathBuf, mode: Mode, part_rows: Option<u64>) -> Self {
        Self { form: Form::File(path), mode, part_rows }
    }

    /// Whether `path` is a folder that a run has made.
    pub(crate) fn is_folder_of_ours(path: &Path) -> bool {
        path.join(manifest::NAME).is_file()
    }

    /// The same without parts, where nobody has asked for any.
    pub(crate) fn as_whole(&self) -> Option<WholeTarget> {
        match &self.form {
            Form::File(path) if self.mode != Mode::Resume && self.part_rows.is_none() => {
                Some(WholeTarget::parquet(path.clone(), self.mode == Mode::Overwrite))
            }
            _ => None,
        }
    }

    /// Refuses what could not be written in the end, and what is there without being wanted.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.form {
            Form::File(path) => {
                atomic::check(path, self.mode != Mode::New)?;
                self.check_parts_of(path)
            }
            Form::Folder(path) => {
                check_folder(path)?;
                self.check_place(&Local::new(path.clone()))
            }
            #[cfg(feature = "sql")]
            Form::Bucket(address) => self.check_place(&Bucket::new(address)?),
        }
    }

    fn check_parts_of(&self, path: &Path) -> Result<()> {
        let folder = parts_of(path);
        if folder.symlink_metadata().is_ok() && !folder.is_dir() {
            let what = format!("{}: this file is where the parts would go", folder.display());
            return Err(Error::new(ErrorKind::BadInput, what).hint("move it away, or name another output"));
        }
        let there = There::look(&Local::new(folder.clone()))?;
        there.check_strangers(&folder.display().to_string())?;
        if self.mode == Mode::New && !there.parts.is_empty() {
            let what = format!("{}: a run that did not end has left parts in {}", path.display(), folder.display());
            return Err(unasked(what));
        }
        Ok(())
    }

    /// Refuses a folder that is not empty where that was not said.
    fn check_place(&self, place: &dyn Place) -> Result<()> {
        let (there, shown) = (There::look(place)?, place.shown());
        there.check_strangers(&shown)?;
        if there.manifest.as_ref().is_some_and(Manifest::is_of_a_cluster) {
            let what = format!("{shown}: a cluster has written this folder");
            return Err(
                Error::new(ErrorKind::BadInput, what).hint("go on with it by --cluster, or name another folder")
            );
        }
        match (self.mode, &there.manifest) {
            (Mode::New, Some(manifest)) if manifest.complete => {
                let what = format!("{shown}: the output exists");
                Err(Error::new(ErrorKind::BadInput, what).hint(
                    "pass --resume to embed what is new or changed since, --overwrite to replace it, or name another folder",
                ))
            }
            (Mode::New, _) if !there.parts.is_empty() => {
                Err(unasked(format!("{shown}: a run that did not end has left parts here")))
            }
            _ => Ok(()),
        }
    }

    /// Takes hold of the place, and finds what may be kept. Nothing that is there is changed yet.
    pub(crate) fn open(&self, opening: Opening<'_>) -> Result<(Parts, Pool)> {
        let Opening { identity, schema, vectors, retry_failed, notes, warn } = opening;
        let mut home = match &self.form {
            Form::Folder(path) => Home::Folder(Box::new(Local::new(path.clone()))),
            #[cfg(feature = "sql")]
            Form::Bucket(address) => Home::Folder(Box::new(Bucket::new(address)?)),
            Form::File(path) => {
                Home::File { path: path.clone(), parts: Local::new(parts_of(path)), there: None, replace: false }
            }
        };
        home.place_mut().hold()?;
        // Somebody may have ended in the meantime.
        self.check()?;
        let place = home.place();
        let there = There::look(place)?;
        let mut found = Found::default();
        let mut replace = self.mode == Mode::Overwrite;
        match self.mode {
            Mode::New => {}
            Mode::Overwrite => found.sort(place, &there, None)?,
            Mode::Resume => {
                if let Some(manifest) = there.manifest.as_ref().filter(|_| !there.parts.is_empty()) {
                    identity.check(&manifest.identity, &place.shown())?;
                }
                replace = there.manifest.as_ref().is_some_and(|manifest| manifest.overwrite);
                if let Form::File(path) = &self.form
                    && path.exists()
                {
                    found.whole = whole(path, &identity, replace)?;
                    replace = true;
                }
                found.sort(place, &there, Some(identity.hash()))?;
            }
        }
        for (name, why) in &found.strange {
            warn(&format!("{}: {name} is no part of this run ({why}); it is not counted", place.shown()));
        }
        for name in there.others.iter().filter(|name| name.ends_with(".parquet")) {
            warn(&format!(
                "{}: {name} was not made by imbed; whoever reads the folder takes it for a part of it",
                place.shown()
            ));
        }
        let kept: Vec<Part> = found.whole.iter().flatten().chain(&found.parts).cloned().collect();
        let safe_rows = kept.iter().map(|part| part.stretch.rows).sum();
        let (kept, retried): (Vec<Part>, Vec<Part>) =
            kept.into_iter().partition(|part| !retry_failed || part.stretch.failed.is_empty());
        let was_complete = there.manifest.as_ref().is_some_and(|manifest| manifest.complete);
        if let Home::File { there, replace: may_replace, .. } = &mut home {
            (*there, *may_replace) = (found.whole, replace);
        }
        let parts = Parts {
            home,
            identity,
            schema: schema.clone(),
            vectors: vectors.to_owned(),
            part_rows: self.part_rows,
            notes,
            open: None,
            done: Vec::new(),
            names: there.names,
            doomed: found.doomed,
            retried,
            strange: found.strange.into_iter().map(|(name, _)| name).collect(),
            stale: None,
            begun: false,
            was_complete,
            kept: Counts::default(),
            safe_rows,
            since: Instant::now(),
        };
        Ok((parts, Pool::new(kept)))
    }
}

impl fmt::Display for PartsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.mode {
            Mode::New => "",
            Mode::Resume => "; what is there is kept",
            Mode::Overwrite => "; what is there is replaced",
        };
        match &self.form {
            Form::Folder(path) => write!(f, "{} (Parquet, zstd, in parts{how})", path.display()),
            #[cfg(feature = "sql")]
            Form::Bucket(address) => write!(f, "{address} (Parquet, zstd, in parts{how})"),
            Form::File(path) => write!(f, "{} (Parquet, zstd{how})", path.display()),
        }
    }
}

/// Refuses a folder that could not be made, or a file in its place.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    // Before a slash a file looks as if it were not there.
    let path = path.components().collect::<PathBuf>();
    let path = path.as_path();
    let refuse = |what: &str| Error::new(ErrorKind::BadInput, format!("{}: {what}", path.display()));
    if path.symlink_metadata().is_ok() && !path.is_dir() {
        return Err(refuse("this is a file, and -o names a folder").hint("leave the / out, or name another folder"));
    }
    let parent = atomic::folder_of(path);
    if !parent.is_dir() {
        return Err(
            refuse("the output's folder does not exist").hint(format!("make it first: mkdir -p {}", parent.display()))
        );
    }
    Ok(())
}

/// Where the parts of a single file lie until it is whole.
fn parts_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".parts");
    path.with_file_name(name)
}

fn unasked(what: String) -> Error {
    Error::new(ErrorKind::BadInput, what)
        .hint("pass --resume to go on with it, --overwrite to start again, or name another output")
}

/// The parts of a file that is whole, if it was made as this run would make it.
fn whole(path: &Path, identity: &RunIdentity, replace: bool) -> Result<Option<Vec<Part>>> {
    let footer = place::footer(path).ok().and_then(|(metadata, _)| FileFooter::of(&metadata));
    let Some(footer) = footer else {
        if replace {
            return Ok(None);
        }
        let what = format!("{}: the output exists and does not say what it was made of", path.display());
        return Err(Error::new(ErrorKind::BadInput, what)
            .hint("pass --overwrite instead of --resume to replace it, or name another file"));
    };
    match identity.check(&footer.identity, &path.display().to_string()) {
        Ok(()) => {}
        Err(_) if replace => return Ok(None),
        Err(refused) => return Err(refused),
    }
    let mut next = 0;
    let parts = footer.parts.into_iter().map(|part| {
        let groups = next..next + part.groups;
        next = groups.end;
        Part { at: At::Groups(groups), stretch: part.stretch, bytes: 0 }
    });
    Ok(Some(parts.collect()))
}

/// What lies in a place, by names.
struct There {
    manifest: Option<Manifest>,
    /// Everything.
    names: BTreeSet<String>,
    /// Files that are called like parts.
    parts: Vec<String>,
    /// Files that are called like nothing of ours.
    others: Vec<String>,
}

impl There {
    fn look(place: &dyn Place) -> Result<Self> {
        let names = place.names()?;
        let manifest = if names.iter().any(|name| name == manifest::NAME) { Manifest::read(place)? } else { None };
        let (parts, others): (Vec<String>, Vec<String>) = names.iter().cloned().partition(|name| name::is_part(name));
        let others = others.into_iter().filter(|name| name != manifest::NAME && !name::is_aside(name)).collect();
        Ok(Self { manifest, names: names.into_iter().collect(), parts, others })
    }

    /// Refuses a folder that holds files and nothing of ours.
    fn check_strangers(&self, place: &str) -> Result<()> {
        let [first, ..] = self.others.as_slice() else { return Ok(()) };
        if self.manifest.is_some() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::BadInput, format!("{place}: the folder holds other files ({first})"))
            .hint("name one that is empty, or that does not exist yet"))
    }
}

/// What files that are called like parts turn out to be.
#[derive(Default)]
struct Found {
    /// The parts of the whole file, where there is one.
    whole: Option<Vec<Part>>,
    /// Parts of this run.
    parts: Vec<Part>,
    /// Parts that are to be replaced.
    doomed: Vec<String>,
    /// Files that are no parts of ours, and why.
    strange: Vec<(String, String)>,
}

impl Found {
    /// Looks into every file that is called like a part: one of the run `run`, or of any run that is to be replaced.
    fn sort(&mut self, place: &dyn Place, there: &There, run: Option<&str>) -> Result<()> {
        for name in &there.parts {
            let (metadata, bytes) = match place.footer(name) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::BadInput => {
                    self.strange.push((name.clone(), "it is not a whole Parquet file".to_owned()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            match (PartFooter::of(&metadata), run) {
                (Some(_), None) => self.doomed.push(name.clone()),
                (Some(footer), Some(run)) if footer.run == run => {
                    self.parts.push(Part { at: At::File(name.clone()), stretch: footer.stretch, bytes });
                }
                (Some(_), Some(_)) => {
                    self.strange
                        .push((name.clone(), "another model, other options or other inputs made it".to_owned()));
                }
                (None, _) => self.strange.push((name.clone(), "imbed has not made it".to_owned())),
            }
        }
        Ok(())
    }
}
