//! The input, walked once: rows that a part of an earlier run holds are passed over, all others become chunks for the engine.

use std::sync::mpsc::Sender;

use imbed::{core::Result, engine::Chunk};

use super::pool::{Part, Pool};
use crate::{
    interrupt,
    source::{RowId, Rows, Source},
};

/// Rows that are looked at together, and more than any chunk has.
const WINDOW: usize = 256;

/// What became of the next rows of the input, in order.
#[derive(Debug)]
pub(crate) enum Note {
    /// They are in this part already.
    Kept { part: Part, first_row: u64 },
    /// They are the next chunk.
    Chunk {
        ids: Vec<RowId>,
        /// The number of the first one in the input.
        first_row: u64,
        /// Whether another part of the input begins with them.
        fresh: bool,
    },
    /// There are no more; these parts hold rows that the input does not have.
    End { stale: Vec<Part> },
}

/// Chunks for the engine, each announced by a [`Note`]. Ends early once the user has asked to stop.
pub(crate) struct Walk<I> {
    parts: I,
    current: Option<Box<dyn Rows>>,
    fresh: bool,
    pool: Pool,
    notes: Sender<Note>,
    row: u64,
    left: u64,
    /// Rows of a chunk at most.
    most: usize,
    ended: bool,
}

/// Walks over everything in `source`. Chunks have `most` rows at most.
pub(crate) fn walk(
    source: Source,
    pool: Pool,
    notes: Sender<Note>,
    most: usize,
) -> impl Iterator<Item = Result<Chunk>> + Send + 'static {
    let (parts, left) = source.into_rows();
    Walk { parts, current: None, fresh: true, pool, notes, row: 0, left, most, ended: false }
}

impl<I: Iterator<Item = Box<dyn Rows>>> Walk<I> {
    /// The next chunk; `None` at the end of the input.
    fn advance(&mut self) -> Result<Option<Chunk>> {
        while self.left > 0 {
            let mut rows = match self.current.take() {
                Some(rows) => rows,
                None => match self.parts.next() {
                    Some(rows) => {
                        self.fresh = true;
                        rows
                    }
                    None => break,
                },
            };
            let most = self.before_kept(rows.as_mut())?;
            if most == 0 {
                self.current = Some(rows);
                continue;
            }
            let Some(taken) = rows.take(most.min(self.most)) else { continue };
            let (mut chunk, ids) = taken?;
            self.current = Some(rows);
            let first_row = self.row;
            chunk.first_row = Some(first_row);
            self.row += ids.len() as u64;
            self.left -= ids.len() as u64;
            let fresh = std::mem::take(&mut self.fresh);
            self.note(Note::Chunk { ids, first_row, fresh });
            return Ok(Some(chunk));
        }
        Ok(None)
    }

    /// How many rows come before the next that are kept. If none, these are passed over.
    fn before_kept(&mut self, rows: &mut dyn Rows) -> Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        if self.pool.is_empty() {
            return Ok(most);
        }
        let window = rows.ahead(WINDOW.min(most))?;
        for (i, first) in window.iter().enumerate() {
            let mut follow = |n: u64| {
                let all = usize::try_from(n).unwrap_or(usize::MAX).saturating_add(i);
                let ids = if all <= most { rows.ahead(all)? } else { Vec::new() };
                Ok(ids.get(i..).unwrap_or_default().to_vec())
            };
            if i > 0 && self.pool.has(*first, &mut follow)? {
                return Ok(i);
            }
            if i > 0 {
                continue;
            }
            if let Some(part) = self.pool.take(*first, &mut follow)? {
                let (first_row, n) = (self.row, part.stretch.rows);
                rows.skip(n as usize);
                self.row += n;
                self.left -= n;
                self.note(Note::Kept { part, first_row });
                return Ok(0);
            }
        }
        Ok(window.len().max(1))
    }

    fn note(&self, note: Note) {
        // Who has stopped listening has stopped the run.
        let _ = self.notes.send(note);
    }
}

impl<I: Iterator<Item = Box<dyn Rows>>> Iterator for Walk<I> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || interrupt::asked() {
            return None;
        }
        let next = self.advance();
        // An input that stops because the user has asked looks like one that ends.
        if matches!(next, Ok(None)) && !interrupt::asked() {
            let stale = std::mem::take(&mut self.pool).into_rest();
            self.note(Note::End { stale });
        }
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Arc, mpsc},
    };

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use imbed::engine::Images;

    use super::*;
    use crate::sink::parts::{
        pool::At,
        stretch::{Hasher, Stretch},
    };

    /// Rows that are numbers.
    struct Numbers {
        numbers: Vec<u64>,
        taken: usize,
    }

    impl Rows for Numbers {
        fn ahead(&mut self, n: usize) -> Result<Vec<RowId>> {
            Ok(self.numbers[self.taken..].iter().take(n).map(|n| RowId::numbered(*n)).collect())
        }

        fn skip(&mut self, n: usize) {
            self.taken += n;
        }

        fn take(&mut self, most: usize) -> Option<Result<(Chunk, Vec<RowId>)>> {
            let ids = self.ahead(most.min(3)).unwrap();
            let numbers: Vec<i64> = self.numbers[self.taken..].iter().take(ids.len()).map(|n| *n as i64).collect();
            self.taken += ids.len();
            let column: ArrayRef = Arc::new(Int64Array::from(numbers));
            let images = Images::Paths(Arc::new(StringArray::from(vec![None::<&str>; ids.len()])));
            let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
            (!ids.is_empty()).then(|| Ok((Chunk { batch, images, labels: None, first_row: None }, ids)))
        }
    }

    fn part(numbers: impl IntoIterator<Item = u64>) -> Part {
        let ids: Vec<RowId> = numbers.into_iter().map(RowId::numbered).collect();
        let mut hasher = Hasher::default();
        for id in &ids {
            hasher.add(*id);
        }
        let (rows, hash) = (ids.len() as u64, hasher.finish());
        let stretch = Stretch { first: ids[0], rows, hash, nulls: 0, failed: BTreeMap::default() };
        Part { at: At::File(format!("{rows}")), stretch, bytes: 0 }
    }

    /// What becomes of `input`, as text, and how many rows are stale.
    fn walked(input: &[&[u64]], left: u64, pool: Vec<Part>) -> (String, u64) {
        let (notes, heard) = mpsc::channel();
        let input: Vec<Box<dyn Rows>> =
            input.iter().map(|n| Box::new(Numbers { numbers: n.to_vec(), taken: 0 }) as _).collect();
        let walk = Walk {
            parts: input.into_iter(),
            current: None,
            fresh: true,
            pool: Pool::new(pool),
            notes,
            row: 0,
            left,
            most: 64,
            ended: false,
        };
        let mut firsts = walk.map(|chunk| chunk.unwrap().first_row.unwrap());
        let chunks: Vec<u64> = firsts.by_ref().collect();
        drop(firsts);
        let (mut text, mut unfit) = (Vec::new(), u64::MAX);
        let mut announced = Vec::new();
        for note in heard {
            match note {
                Note::Kept { part, first_row } => text.push(format!("{first_row}:kept {}", part.stretch.rows)),
                Note::Chunk { ids, first_row, fresh } => {
                    announced.push(first_row);
                    text.push(format!("{first_row}:{}{}", if fresh { "fresh " } else { "" }, ids.len()));
                }
                Note::End { stale } => unfit = stale.iter().map(|p| p.stretch.rows).sum(),
            }
        }
        assert_eq!(announced, chunks);
        (text.join(" "), unfit)
    }

    #[test]
    fn what_is_there_is_passed_over_and_the_rest_is_not() {
        let all: Vec<u64> = (0..10).collect();
        assert_eq!(walked(&[&all], 99, vec![]), ("0:fresh 3 3:3 6:3 9:1".into(), 0));
        assert_eq!(walked(&[&all], 99, vec![part(4..8)]), ("0:fresh 3 3:1 4:kept 4 8:2".into(), 0));
        assert_eq!(walked(&[&all], 99, vec![part(5..10), part(0..5)]), ("0:kept 5 5:kept 5".into(), 0));
        assert_eq!(walked(&[&all], 7, vec![part(4..8)]), ("0:fresh 3 3:3 6:1".into(), 4), "beyond the limit");
        assert_eq!(walked(&[&all], 8, vec![part(4..8)]), ("0:fresh 3 3:1 4:kept 4".into(), 0));
    }

    #[test]
    fn rows_that_came_went_or_moved_cost_their_part_alone() {
        let parts = || vec![part(0..4), part(4..8), part(8..10)];
        assert_eq!(
            walked(&[&[0, 1, 2, 3, 77, 4, 5, 6, 7, 8, 9]], 99, parts()).0,
            "0:kept 4 4:fresh 1 5:kept 4 9:kept 2"
        );
        assert_eq!(walked(&[&[0, 1, 2, 3, 4, 6, 7, 8, 9]], 99, parts()), ("0:kept 4 4:fresh 3 7:kept 2".into(), 4));
        assert_eq!(walked(&[&[8, 9, 0, 1, 2, 3]], 99, parts()), ("0:kept 2 2:kept 4".into(), 4));
        assert_eq!(walked(&[&[]], 99, parts()), (String::new(), 10));
    }

    #[test]
    fn a_part_is_kept_once_and_reaches_into_no_other_input() {
        assert_eq!(walked(&[&[1, 2], &[1, 2]], 99, vec![part(1..3)]).0, "0:kept 2 2:fresh 2");
        assert_eq!(walked(&[&[1, 2], &[1, 2]], 99, vec![part(1..3), part(1..3)]), ("0:kept 2 2:kept 2".into(), 0));
        assert_eq!(walked(&[&[1], &[2]], 99, vec![part(1..3)]), ("0:fresh 1 1:fresh 1".into(), 2));
        assert_eq!(walked(&[&[1, 2, 3]], 99, vec![part(1..3), part(1..4)]), ("0:kept 3".into(), 2), "the longest");
    }
    /// What a folder of parts would hold: each part with its rows.
    type Disk = Vec<(Part, Vec<u64>)>;

    /// A run over `input` that dies after `life` notes, or ends. Gives the parts in order if it ended.
    fn run(input: &[u64], disk: &mut Disk, life: usize, part_rows: usize, names: &mut u64) -> Option<Vec<u64>> {
        let (notes, heard) = mpsc::channel();
        let rows: Box<dyn Rows> = Box::new(Numbers { numbers: input.to_vec(), taken: 0 });
        let pool = Pool::new(disk.iter().map(|(part, _)| part.clone()));
        let parts = [rows].into_iter();
        let mut walk =
            Walk { parts, current: None, fresh: true, pool, notes, row: 0, left: 1000, most: 64, ended: false };
        let mut done: Vec<String> = Vec::new();
        let mut open: Vec<u64> = Vec::new();
        let mut close = |open: &mut Vec<u64>, disk: &mut Disk, done: &mut Vec<String>| {
            if !open.is_empty() {
                *names += 1;
                let made = Part { at: At::File(names.to_string()), ..part(open.iter().copied()) };
                done.push(names.to_string());
                disk.push((made, std::mem::take(open)));
            }
        };
        let mut heard_notes = 0;
        loop {
            let chunk = walk.next();
            while let Ok(note) = heard.try_recv() {
                heard_notes += 1;
                if heard_notes > life {
                    return None;
                }
                match note {
                    Note::Kept { part, .. } => {
                        close(&mut open, disk, &mut done);
                        let At::File(name) = part.at else { panic!() };
                        done.push(name);
                    }
                    Note::Chunk { ids, first_row, .. } => {
                        open.extend(&input[first_row as usize..][..ids.len()]);
                        if open.len() >= part_rows {
                            close(&mut open, disk, &mut done);
                        }
                    }
                    Note::End { stale } => {
                        close(&mut open, disk, &mut done);
                        disk.retain(|(part, _)| !stale.contains(part));
                    }
                }
            }
            if chunk.is_none() {
                break;
            }
        }
        let rows = |name: &String| disk.iter().find(|(part, _)| part.at == At::File(name.clone())).unwrap().1.clone();
        assert_eq!(done.len(), disk.len(), "nothing is left over");
        Some(done.iter().flat_map(rows).collect())
    }

    #[test]
    fn whatever_is_edited_and_whenever_runs_die_the_end_has_every_row_once_and_in_order() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut input: Vec<u64> = (0..random.u64(0..60)).collect();
            let (mut disk, mut names, mut next) = (Disk::new(), 0, 1000);
            let part_rows = random.usize(1..12);
            for _ in 0..random.usize(0..6) {
                for _ in 0..random.usize(0..4) {
                    let at = random.usize(0..=input.len());
                    match random.u8(0..4) {
                        0 => input.insert(at, next),
                        1 if at < input.len() => _ = input.remove(at),
                        2 if at < input.len() => input[at] = next,
                        // The same row once more.
                        _ if at < input.len() => input.insert(random.usize(0..=input.len()), input[at]),
                        _ => {}
                    }
                    next += 1;
                }
                let life = random.usize(0..30);
                run(&input, &mut disk, life, part_rows, &mut names);
            }
            let found = run(&input, &mut disk, usize::MAX, part_rows, &mut names).unwrap();
            assert_eq!(found, input, "seed {seed}");
        }
    }
}
