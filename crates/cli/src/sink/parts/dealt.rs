//! A folder whose parts others write: the executors of a cluster, a part for each of their tasks.
//!
//! What a part holds stands in its own footer, as everywhere, and executors decide by it what is to be done. Here is what they cannot see:
//! whether the run may go on with what is there, and in the end which parts are not of it.

use std::{collections::BTreeMap, path::PathBuf};

use imbed::core::{Error, ErrorKind, Result};

use super::{
    RunIdentity,
    manifest::{Listed, Manifest},
    place::{Bucket, Local, Place},
    target::{Mode, check_folder},
};

/// The folder, held as long as this is.
pub(crate) struct DealtParts {
    place: Box<dyn Place>,
    identity: RunIdentity,
}

impl DealtParts {
    /// Takes hold of the folder `output`, which a run of this `identity` is to write to: an error if that is not so. Where it is to be
    /// replaced, its parts are removed.
    pub(crate) fn begin(output: &str, identity: RunIdentity, mode: Mode) -> Result<Self> {
        let mut place: Box<dyn Place> = if output.contains("://") {
            Box::new(Bucket::new(output)?)
        } else {
            let folder = PathBuf::from(output);
            check_folder(&folder)?;
            Box::new(Local::new(folder))
        };
        place.hold()?;
        let this = Self { place, identity };
        let parts = this.parts()?;
        this.check(&parts, mode)?;
        // Before anything is changed, it says that something is going on.
        Manifest::begun(this.identity.value().clone(), false).write(this.place.as_ref())?;
        if mode == Mode::Overwrite {
            parts.iter().try_for_each(|part| this.place.remove(part))?;
        }
        Ok(this.staying())
    }

    fn staying(mut self) -> Self {
        self.place.stays();
        self
    }

    /// Refuses parts that nobody has asked to keep or to replace, and those that may not stand beside the ones of this run.
    fn check(&self, parts: &[String], mode: Mode) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let there = format!("there are parts already ({})", parts.len());
        let refused = |what: &str, hint: &str| {
            Err(Error::new(ErrorKind::BadInput, format!("{}: {there}{what}", self.place.shown())).hint(hint))
        };
        match (mode, Manifest::read(self.place.as_ref())?) {
            (Mode::Overwrite, _) => Ok(()),
            (Mode::New, Some(_)) => refused(
                "",
                "pass --resume to keep them and write what is missing or changed, --overwrite to start again, or name another folder",
            ),
            (Mode::New, None) => refused("", "pass --overwrite to replace them, or name another folder"),
            (Mode::Resume, Some(manifest)) => self.identity.check(&manifest.identity, &self.place.shown()),
            (Mode::Resume, None) => refused(
                ", and nothing says how they were made",
                "pass --overwrite instead of --resume to replace them, or name another folder",
            ),
        }
    }

    /// The names of the parts that are there.
    fn parts(&self) -> Result<Vec<String>> {
        let is_part = |name: &String| name.starts_with("part-") && name.ends_with(".parquet");
        Ok(self.place.names()?.into_iter().filter(is_part).collect())
    }

    /// Says that all is there: the parts `written`. Others, of an input that has become shorter, are removed.
    pub(crate) fn finish(self, written: &[DealtPart], failed: u64) -> Result<()> {
        let is_written = |name: &String| written.iter().any(|part| part.name() == name);
        for name in self.parts()?.iter().filter(|name| !is_written(name)) {
            self.place.remove(name)?;
        }
        let mut manifest = Manifest::begun(self.identity.value().clone(), false);
        manifest.complete = true;
        manifest.rows = written.iter().map(|part| part.rows).sum();
        // Executors count them and do not say of which kind they are.
        manifest.failed = if failed > 0 { BTreeMap::from([("any".to_owned(), failed)]) } else { BTreeMap::new() };
        let listed = |part: &DealtPart| Listed {
            name: part.name().to_owned(),
            rows: part.rows,
            bytes: part.bytes,
            hash: String::new(),
        };
        manifest.parts = written.iter().map(listed).collect();
        manifest.write(self.place.as_ref())
    }

    /// How many parts a later run finds, and where; `None` if there are none.
    pub(crate) fn kept(&self) -> Option<(u64, String)> {
        // If the place does not answer, what made the run end says more.
        let parts = self.parts().unwrap_or_default().len() as u64;
        (parts > 0).then(|| (parts, self.place.shown()))
    }
}

/// A part of such a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DealtPart {
    /// As messages name it: a path, or the address of an object.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl DealtPart {
    fn name(&self) -> &str {
        self.path.rsplit(['/', std::path::MAIN_SEPARATOR]).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::{super::manifest, *};

    fn identity(model: &str) -> RunIdentity {
        RunIdentity::new(json!({ "vectors": { "model": model }, "partitions": 3 }))
    }

    fn part(name: &str) -> DealtPart {
        DealtPart { path: format!("/out/{name}"), rows: 2, bytes: 1 }
    }

    #[test]
    fn a_run_goes_on_with_what_was_made_in_the_same_way_and_with_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let begin = |model: &str, mode| DealtParts::begin(out.to_str().unwrap(), identity(model), mode);
        let refused = |model: &str, mode| begin(model, mode).err().expect("refused").to_string();
        let names = || {
            let names = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| name.ends_with(".parquet")).collect();
            names.sort();
            names
        };

        let first = begin("a", Mode::New).unwrap();
        assert!(refused("a", Mode::Resume).contains("another imbed is writing there"));
        assert_eq!(first.kept(), None);
        for name in ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"] {
            fs::write(out.join(name), b"x").unwrap();
        }
        assert_eq!(first.kept().unwrap().0, 3);
        // It dies.
        drop(first);
        assert!(refused("a", Mode::New).contains("there are parts already (3)"));
        assert!(refused("b", Mode::Resume).contains("made otherwise"));

        let second = begin("a", Mode::Resume).unwrap();
        second.finish(&[part("part-00000.parquet"), part("part-00001.parquet")], 1).unwrap();
        assert_eq!(names(), ["part-00000.parquet", "part-00001.parquet"]);
        let manifest = Manifest::read(&Local::new(out.clone())).unwrap().unwrap();
        assert!(manifest.complete && manifest.is_of_a_cluster());
        assert_eq!((manifest.rows, manifest.parts.len(), manifest.failed["any"]), (4, 2, 1));

        drop(begin("b", Mode::Overwrite).unwrap());
        assert!(names().is_empty());
        fs::write(out.join("part-00000.parquet"), b"x").unwrap();
        fs::remove_file(out.join(manifest::NAME)).unwrap();
        assert!(refused("b", Mode::Resume).contains("nothing says how they were made"));
        assert!(refused("b", Mode::New).contains("there are parts already (1)"));
    }

    #[test]
    fn a_folder_must_have_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("missing/out");
        let refused = DealtParts::begin(out.to_str().unwrap(), identity("a"), Mode::New).err().expect("refused");
        assert!(refused.hint_text().unwrap().contains("mkdir -p"), "{refused}");
        let file = dir.path().join("file");
        fs::write(&file, b"x").unwrap();
        let refused = DealtParts::begin(&format!("{}/", file.display()), identity("a"), Mode::New);
        assert!(refused.err().expect("refused").message().contains("this is a file"));
    }
}
