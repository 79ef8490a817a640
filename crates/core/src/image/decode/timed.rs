//! Files that are read in small pieces, and not after their time is over: the decoders of other crates have no clock.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use super::task::Task;

/// The most that is given at a time. Deflate makes at most a thousand times as much of it.
const PIECE: usize = 64 << 10;
/// How much is read between two looks at the clock, a call counting as much as so many bytes.
const BETWEEN: usize = 64 << 10;
const CALL: usize = 512;

/// A reader that fails once the task is late.
pub(super) struct Timed<'t, R> {
    inner: R,
    task: &'t Task,
    /// Since the last look at the clock.
    read: usize,
}

impl<'t, R> Timed<'t, R> {
    pub(super) fn new(inner: R, task: &'t Task) -> Self {
        Self { inner, task, read: 0 }
    }

    fn look(&mut self, length: usize) -> io::Result<()> {
        self.read += CALL + length;
        if self.read >= BETWEEN {
            self.read = 0;
            if self.task.is_late() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the time for the image is over"));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Timed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(PIECE);
        self.look(length)?;
        self.inner.read(&mut buffer[..length])
    }
}

impl<R: BufRead> BufRead for Timed<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.look(0)?;
        let rest = self.inner.fill_buf()?;
        Ok(&rest[..rest.len().min(PIECE)])
    }

    fn consume(&mut self, length: usize) {
        // Looked at by the next call.
        self.read = self.read.saturating_add(length);
        self.inner.consume(length);
    }
}

impl<R: Seek> Seek for Timed<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.look(0)?;
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::image::{DecodeOptions, Limits};

    fn read(max_time: Duration) -> io::Result<usize> {
        let limits = Limits { max_time, ..Limits::default() };
        let task = Task::new(&DecodeOptions { limits, ..DecodeOptions::default() });
        let file = vec![7; 3 * PIECE + 1];
        let mut all = Vec::new();
        Timed::new(&file[..], &task).read_to_end(&mut all)?;
        let mut timed = Timed::new(io::Cursor::new(&file), &task);
        let mut length = 0;
        while let part @ 1.. = timed.fill_buf()?.len() {
            timed.consume(part);
            length += part;
        }
        assert_eq!((all.len(), length), (file.len(), file.len()));
        Ok(length)
    }

    #[test]
    fn all_is_read_in_time_and_nothing_after_it() {
        assert!(read(Duration::from_mins(1)).is_ok());
        assert_eq!(read(Duration::ZERO).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
