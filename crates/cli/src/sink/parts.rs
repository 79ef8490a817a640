//! Outputs in parts, with which a later run can go on: each part is there whole or not at all, and says itself which rows it holds.
//!
//! ```text
//!            parts that are there              temporary file --> part --> part --> …
//!                    |                                ^
//!   input --> Walk --+--> chunks --> engine --> Parts-+--> at the end: names in input order, the manifest; or one file
//!              |                                  ^
//!              +--- notes: what became of rows ---+
//! ```
//!
//! A row is told by its [identity](crate::source::RowId). The walk compares the identities of the input's rows with those that parts
//! were made of: a part whose rows are all there, in order, is kept and they are passed over. So nothing is asked but the parts
//! themselves: neither their names nor the manifest decide what is there, and a run may die at any moment.
//!
//! A folder keeps its parts. One file is made of them at the end, without encoding anything again, and says in its footer what parts it
//! was made of; so one can go on from that, too.

#[cfg(feature = "cluster")]
mod dealt;
mod identity;
mod join;
mod manifest;
mod name;
mod open;
mod place;
mod pool;
mod stretch;
mod target;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::mpsc::Receiver,
    time::Instant,
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

#[cfg(feature = "cluster")]
pub(crate) use self::dealt::{DealtPart, DealtParts};
pub(crate) use self::{
    identity::RunIdentity,
    open::Tally,
    pool::Pool,
    target::{Mode, Opening, PartsTarget},
    walk::{Note, walk},
};
use self::{
    join::Piece,
    manifest::{Listed, Manifest},
    open::OpenPart,
    place::{Local, Place},
    pool::{At, Part},
    stretch::{FileFooter, FilePart, PartFooter, Stretch},
};
use super::{Written, parquet::ParquetSink};
use crate::source::RowId;

/// Rows of the output, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) failed: BTreeMap<ErrorKind, u64>,
}

impl Counts {
    fn add(&mut self, stretch: &Stretch) {
        self.rows += stretch.rows;
        self.nulls += stretch.nulls;
        for (kind, n) in &stretch.failed {
            *self.failed.entry(*kind).or_default() += n;
        }
    }
}

/// Where the parts end up.
#[derive(Debug)]
enum Home {
    /// They stay where they are.
    Folder(Box<dyn Place>),
    /// They lie in a folder beside the file that is made of them.
    File { path: PathBuf, parts: Local, there: Option<Vec<Part>>, replace: bool },
}

impl Home {
    fn place(&self) -> &dyn Place {
        match self {
            Self::Folder(place) => place.as_ref(),
            Self::File { parts, .. } => parts,
        }
    }

    fn place_mut(&mut self) -> &mut dyn Place {
        match self {
            Self::Folder(place) => place.as_mut(),
            Self::File { parts, .. } => parts,
        }
    }
}

/// A part and the number of its first row in the input.
#[derive(Debug)]
struct Done {
    part: Part,
    first_row: u64,
}

/// An output that is being made.
pub(crate) struct Parts {
    home: Home,
    identity: RunIdentity,
    schema: SchemaRef,
    /// The name of the column of vectors.
    vectors: String,
    /// Rows that make a part, if the user said so.
    part_rows: Option<u64>,
    notes: Receiver<Note>,
    open: Option<OpenPart>,
    /// In input order.
    done: Vec<Done>,
    /// Names that are taken.
    names: BTreeSet<String>,
    /// Parts that are removed when the first new one comes, and files that are no parts of this run.
    doomed: Vec<String>,
    strange: Vec<String>,
    /// Parts with failed rows, which are embedded again. They go when that is done.
    retried: Vec<Part>,
    /// Parts that hold rows which the input does not have any more; known at its end.
    stale: Option<Vec<Part>>,
    begun: bool,
    /// Whether the manifest said at the start that everything was there.
    was_complete: bool,
    kept: Counts,
    /// Rows that a later run finds, if this one dies.
    safe_rows: u64,
    since: Instant,
}

impl Parts {
    /// What the next chunk of the engine is: its rows' identities, and the number of the first one.
    fn next_chunk(&mut self) -> Result<(Vec<RowId>, u64)> {
        while let Ok(note) = self.notes.recv() {
            match note {
                Note::Kept { part, first_row } => self.keep(part, first_row)?,
                Note::Chunk { ids, first_row, fresh } => {
                    if fresh {
                        self.close()?;
                    }
                    return Ok((ids, first_row));
                }
                Note::End { .. } => break,
            }
        }
        Err(Error::new(ErrorKind::Internal, "a chunk came that nobody announced"))
    }

    /// Takes in the rows of the next chunk.
    pub(crate) fn write(&mut self, batch: &RecordBatch, tally: &Tally) -> Result<()> {
        let (ids, first_row) = self.next_chunk()?;
        if ids.len() != batch.num_rows() {
            return Err(Error::new(ErrorKind::Internal, "a chunk came with other rows than were announced"));
        }
        let Some(first) = ids.first() else { return Ok(()) };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => OpenPart::new(self.sink()?, *first, first_row),
        };
        // Where writing fails the part is lost, and with it its temporary file.
        open.write(batch, &ids, tally)?;
        let full = open.is_full(self.part_rows, self.since);
        self.open = Some(open);
        if full { self.close() } else { Ok(()) }
    }

    /// Commits the rows that are done.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.begin()?;
        let (stretch, first_row) = (open.stretch(), open.first_row);
        let footer = PartFooter { run: self.identity.hash().to_owned(), stretch: stretch.clone() };
        let file = open.into_file(|_| footer.to_key_value())?;
        let name = name::free(first_row, &self.names);
        let bytes = self.home.place().put(file, &name)?;
        self.names.insert(name.clone());
        self.safe_rows += stretch.rows;
        self.done.push(Done { part: Part { at: At::File(name), stretch, bytes }, first_row });
        Ok(())
    }

    /// Whether the input was read to its end, and all that came of it was taken in.
    pub(crate) fn has_all(&self) -> bool {
        self.stale.is_some()
    }

    /// Ends before all is done. Where nothing is kept, nothing is left.
    pub(crate) fn give_up(mut self) -> Option<(u64, String)> {
        // If this fails, what made the run end says more.
        let _ = self.take_rest().and_then(|()| self.close());
        if self.safe_rows == 0 && self.begun && self.home.place().remove(manifest::NAME).is_ok() {
            self.home.place_mut().passes();
        }
        self.safe()
    }

    /// Takes in what was announced behind the last chunk.
    pub(crate) fn take_rest(&mut self) -> Result<()> {
        while let Ok(note) = self.notes.try_recv() {
            match note {
                Note::Kept { part, first_row } => self.keep(part, first_row)?,
                Note::End { stale } => self.stale = Some(stale),
                // Of a run that was stopped.
                Note::Chunk { .. } => {}
            }
        }
        Ok(())
    }

    /// Rows that were kept from earlier runs so far.
    pub(crate) fn kept(&self) -> &Counts {
        &self.kept
    }

    /// How many parts there are so far.
    pub(crate) fn count(&self) -> usize {
        self.done.len()
    }

    /// Where a later run finds rows if this one ends now, and how many; `None` if there are none.
    pub(crate) fn safe(&self) -> Option<(u64, String)> {
        (self.safe_rows > 0).then(|| (self.safe_rows, self.home.place().shown()))
    }

    fn keep(&mut self, part: Part, first_row: u64) -> Result<()> {
        self.close()?;
        self.kept.add(&part.stretch);
        self.done.push(Done { part, first_row });
        Ok(())
    }

    fn sink(&self) -> Result<ParquetSink> {
        ParquetSink::new(self.home.place().create()?, &self.schema, Some(&self.vectors))
    }

    /// Says in the manifest that something is going on, before anything is changed.
    fn begin(&mut self) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        let replace = matches!(self.home, Home::File { replace: true, .. });
        Manifest::begun(self.identity.value().clone(), replace).write(self.home.place())?;
        self.home.place_mut().stays();
        self.begun = true;
        for name in std::mem::take(&mut self.strange) {
            self.set_aside(&name)?;
        }
        for name in std::mem::take(&mut self.doomed) {
            self.home.place().remove(&name)?;
            self.names.remove(&name);
        }
        Ok(())
    }

    /// Gives a file another name, by which nobody takes it for a part.
    fn set_aside(&mut self, name: &str) -> Result<()> {
        let aside = name::aside(name, &self.names);
        self.home.place().rename(name, &aside)?;
        self.names.remove(name);
        self.names.insert(aside);
        Ok(())
    }

    /// Completes the output.
    pub(crate) fn finish(mut self) -> Result<Vec<Written>> {
        let Some(stale) = self.stale.take() else {
            return Err(Error::new(ErrorKind::Internal, "the input was not read to its end"));
        };
        let stale = stale.into_iter().chain(std::mem::take(&mut self.retried));
        let stale = stale.filter_map(|part| if let At::File(name) = part.at { Some(name) } else { None });
        let stale: Vec<String> = stale.collect();
        match &self.home {
            Home::Folder(_) => self.finish_folder(&stale),
            Home::File { .. } => self.finish_file(&stale),
        }
    }

    fn finish_folder(&mut self, stale: &[String]) -> Result<Vec<Written>> {
        self.close()?;
        if self.done.is_empty() {
            self.write_empty()?;
        }
        let in_place = self.done.iter().all(|done| done.part.at == At::File(name::of(done.first_row)));
        if !(in_place && self.was_complete && [stale, &self.doomed, &self.strange].iter().all(|names| names.is_empty()))
        {
            self.begin()?;
        }
        for name in stale {
            self.home.place().remove(name)?;
            self.names.remove(name);
        }
        self.renumber()?;
        let place = self.home.place();
        if self.begun {
            let mut manifest = Manifest::begun(self.identity.value().clone(), false);
            let mut all = Counts::default();
            for Done { part, first_row } in &self.done {
                all.add(&part.stretch);
                let (rows, hash) = (part.stretch.rows, part.stretch.hash.clone());
                manifest.parts.push(Listed { name: name::of(*first_row), rows, bytes: part.bytes, hash });
            }
            manifest.complete = true;
            manifest.rows = all.rows;
            manifest.failed = all.failed.iter().map(|(kind, n)| (kind.as_str().to_owned(), *n)).collect();
            manifest.write(place)?;
        }
        let bytes = self.done.iter().map(|done| done.part.bytes).sum();
        Ok(vec![Written { path: PathBuf::from(place.shown()), bytes }])
    }

    /// A folder without a row still says what its columns are.
    fn write_empty(&mut self) -> Result<()> {
        let hash = stretch::Hasher::default().finish();
        let stretch = Stretch { first: RowId::NONE, rows: 0, hash, nulls: 0, failed: BTreeMap::new() };
        self.begin()?;
        let footer = PartFooter { run: self.identity.hash().to_owned(), stretch: stretch.clone() };
        let file = self.sink()?.into_file_with(|_| footer.to_key_value())?;
        let name = name::free(0, &self.names);
        let bytes = self.home.place().put(file, &name)?;
        self.names.insert(name.clone());
        self.done.push(Done { part: Part { at: At::File(name), stretch, bytes }, first_row: 0 });
        Ok(())
    }

    /// Names every part after its first row. Each has one name at any moment, whatever happens in between.
    fn renumber(&mut self) -> Result<()> {
        for i in 0..self.done.len() {
            let want = name::of(self.done[i].first_row);
            let At::File(from) = self.done[i].part.at.clone() else { continue };
            if from == want {
                continue;
            }
            if self.names.contains(&want) {
                let holder = self.done.iter().position(|done| done.part.at == At::File(want.clone()));
                let Some(holder) = holder else {
                    self.set_aside(&want)?;
                    continue;
                };
                let elsewhere = name::free(self.done[holder].first_row, &self.names);
                self.move_part(holder, &want, elsewhere)?;
            }
            self.move_part(i, &from, want)?;
        }
        Ok(())
    }

    fn move_part(&mut self, i: usize, from: &str, to: String) -> Result<()> {
        self.home.place().rename(from, &to)?;
        self.names.remove(from);
        self.names.insert(to.clone());
        self.done[i].part.at = At::File(to);
        Ok(())
    }

    fn finish_file(&mut self, stale: &[String]) -> Result<Vec<Written>> {
        let whole = |run: &RunIdentity, parts: Vec<FilePart>| {
            FileFooter { run: run.hash().to_owned(), identity: run.value().clone(), parts }.to_key_value()
        };
        let written = if self.done.is_empty() {
            // Few rows, which were never a part.
            let file = match self.open.take() {
                Some(open) => {
                    let stretch = open.stretch();
                    open.into_file(|groups| whole(&self.identity, vec![FilePart { groups, stretch }]))?
                }
                None => self.sink()?.into_file_with(|_| whole(&self.identity, Vec::new()))?,
            };
            let Home::File { path, replace, .. } = &self.home else { return Ok(Vec::new()) };
            file.commit_to(path, *replace)?
        } else {
            self.close()?;
            let Home::File { path, parts, there, replace } = &self.home else { return Ok(Vec::new()) };
            let same = |there: &Vec<Part>| there.iter().eq(self.done.iter().map(|done| &done.part));
            if there.as_ref().is_some_and(same) {
                let bytes = std::fs::metadata(path).map_err(|e| Error::io(path.display(), e))?.len();
                Written { path: path.clone(), bytes }
            } else {
                let piece = |done: &Done| match &done.part.at {
                    At::File(name) => Piece { path: parts.path(name), groups: None },
                    At::Groups(groups) => Piece { path: path.clone(), groups: Some(groups.clone()) },
                };
                let pieces: Vec<Piece> = self.done.iter().map(piece).collect();
                let stretches = self.done.iter().map(|done| done.part.stretch.clone());
                let footer = |counts: &[usize]| {
                    let listed =
                        counts.iter().zip(stretches).map(|(groups, stretch)| FilePart { groups: *groups, stretch });
                    whole(&self.identity, listed.collect())
                };
                join::join(&pieces, parts.create_for(path, *replace)?, footer)?.commit()?
            }
        };
        // The file is there: what it was made of may go.
        let own = self.done.iter().filter_map(|done| match &done.part.at {
            At::File(name) => Some(name),
            At::Groups(_) => None,
        });
        for name in own.chain(stale).chain(&self.doomed) {
            self.home.place().remove(name)?;
        }
        self.home.place().remove(manifest::NAME)?;
        if let Home::File { parts, .. } = &mut self.home {
            parts.dissolve();
        }
        Ok(vec![written])
    }
}
