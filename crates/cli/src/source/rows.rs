//! The rows of one part of the input, of which the next can be looked at before they are taken: files, and rows of tables.

use std::{collections::VecDeque, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use imbed::{
    core::{Error, Result},
    engine::{Chunk, Images},
};

use super::{
    PATH_COLUMN, PATHS_PER_CHUNK,
    batches::{Batches, MAX_ROWS, unreadable},
    carry::Carry,
    chunk::TablePart,
    files::Paths,
    identity::{RowId, TableId},
};

/// Rows in order.
pub(crate) trait Rows: Send {
    /// The identities of the next `n` rows; fewer where the input ends, or where reading it fails.
    ///
    /// A table that does not say how many rows it has may give some that do not exist.
    fn ahead(&mut self, n: usize) -> Result<Vec<RowId>>;

    /// Passes over `n` rows that were looked at.
    fn skip(&mut self, n: usize);

    /// The next rows as one chunk, at most `most`, with their identities. `None` after the last one.
    fn take(&mut self, most: usize) -> Option<Result<(Chunk, Vec<RowId>)>>;
}

/// Image files.
pub(super) struct FileRows {
    paths: Paths,
    carry: Arc<Carry>,
    schema: SchemaRef,
    waiting: VecDeque<(String, RowId)>,
    /// What came instead of a path; it is told when the rows before it are taken.
    failure: Option<Error>,
}

impl FileRows {
    pub(super) fn new(paths: Paths, carry: Arc<Carry>) -> Self {
        let schema = Arc::new(Schema::new(vec![Field::new(PATH_COLUMN, DataType::Utf8, false)]));
        Self { paths, carry, schema, waiting: VecDeque::new(), failure: None }
    }

    fn fill(&mut self, n: usize) {
        while self.waiting.len() < n && self.failure.is_none() {
            match self.paths.paths.next() {
                Some(Ok(path)) => {
                    let id = RowId::of_file(&path);
                    self.waiting.push_back((path, id));
                }
                Some(Err(error)) => self.failure = Some(error),
                None => break,
            }
        }
    }

    fn chunk(&self, paths: Vec<String>) -> Result<Chunk> {
        let paths: ArrayRef = Arc::new(StringArray::from(paths));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::clone(&paths)]).map_err(unreadable)?;
        let batch = self.carry.fit(&batch)?;
        let labels = self.carry.keys(&batch)?.or_else(|| Some(Arc::clone(&paths)));
        Ok(Chunk { batch, images: Images::Paths(paths), labels, first_row: None })
    }
}

impl Rows for FileRows {
    fn ahead(&mut self, n: usize) -> Result<Vec<RowId>> {
        self.fill(n);
        Ok(self.waiting.iter().take(n).map(|(_, id)| *id).collect())
    }

    fn skip(&mut self, n: usize) {
        self.waiting.drain(..n.min(self.waiting.len()));
    }

    fn take(&mut self, most: usize) -> Option<Result<(Chunk, Vec<RowId>)>> {
        let rows = most.min(PATHS_PER_CHUNK);
        self.fill(rows);
        let rows = rows.min(self.waiting.len());
        if rows == 0 {
            return self.failure.take().map(Err);
        }
        let (paths, ids) = self.waiting.drain(..rows).unzip();
        Some(self.chunk(paths).map(|chunk| (chunk, ids)))
    }
}

/// Rows of a table.
pub(super) struct TableRows {
    part: TablePart,
    carry: Arc<Carry>,
    id: TableId,
    /// Opened on first use, so that many tables do not take many file handles.
    batches: Option<Batches>,
    /// Pieces that were read, the first of them from row `row` on.
    waiting: VecDeque<RecordBatch>,
    /// The next row.
    row: u64,
    /// Identities of the rows that wait, where they hang on what the rows hold.
    ids: VecDeque<RowId>,
}

impl TableRows {
    pub(super) fn new(part: TablePart, carry: Arc<Carry>) -> Self {
        let id = part.table.id.clone();
        Self { part, carry, id, batches: None, waiting: VecDeque::new(), row: 0, ids: VecDeque::new() }
    }

    /// Reads until so many rows wait, or all that there are.
    fn fill(&mut self, n: usize) -> Result<()> {
        while self.waiting.iter().map(RecordBatch::num_rows).sum::<usize>() < n {
            let batches = match &mut self.batches {
                Some(batches) => batches,
                None => self.batches.insert(self.part.table.read_from(None, self.row)?),
            };
            match batches.find(|batch| batch.as_ref().map_or(true, |b| b.num_rows() > 0)) {
                Some(batch) => self.waiting.push_back(batch?),
                None => break,
            }
            if let (true, Some(batch)) = (self.part.names_files(), self.waiting.back()) {
                let paths = self.part.paths(batch)?;
                let first = self.row + self.ids.len() as u64;
                let ids = (first..).zip(paths.iter()).map(|(row, path)| self.id.row(row, path.as_deref()));
                self.ids.extend(ids.collect::<Vec<_>>());
            }
        }
        Ok(())
    }
}

impl Rows for TableRows {
    fn ahead(&mut self, n: usize) -> Result<Vec<RowId>> {
        if self.part.names_files() {
            self.fill(n)?;
            return Ok(self.ids.iter().take(n).copied().collect());
        }
        let rows = self.part.table.rows.map_or(n as u64, |rows| rows.saturating_sub(self.row).min(n as u64));
        Ok((self.row..self.row + rows).map(|row| self.id.row(row, None)).collect())
    }

    fn skip(&mut self, n: usize) {
        self.row += n as u64;
        self.ids.drain(..n.min(self.ids.len()));
        let mut left = n;
        while left > 0 {
            let Some(batch) = self.waiting.pop_front() else {
                // The rest was not read. The table is opened again behind it.
                self.batches = None;
                return;
            };
            if batch.num_rows() > left {
                self.waiting.push_front(batch.slice(left, batch.num_rows() - left));
            }
            left = left.saturating_sub(batch.num_rows());
        }
    }

    fn take(&mut self, most: usize) -> Option<Result<(Chunk, Vec<RowId>)>> {
        if let Err(error) = self.fill(1) {
            return Some(Err(error));
        }
        let batch = self.waiting.pop_front()?;
        let rows = batch.num_rows().min(most).min(MAX_ROWS);
        if rows < batch.num_rows() {
            self.waiting.push_front(batch.slice(rows, batch.num_rows() - rows));
        }
        let ids = if self.part.names_files() {
            self.ids.drain(..rows.min(self.ids.len())).collect()
        } else {
            (self.row..self.row + rows as u64).map(|row| self.id.row(row, None)).collect()
        };
        let first_row = self.row;
        self.row += rows as u64;
        let chunk = self.part.chunk(&batch.slice(0, rows), &self.carry, first_row);
        Some(chunk.map(|chunk| (chunk, ids)).map_err(|e| e.context(self.part.table.path.display())))
    }
}
