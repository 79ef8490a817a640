//! Tables with one wrong byte or number: an error or other rows, and never the end of the program.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{DictionaryArray, RecordBatch, StringArray, types::Int32Type};
use arrow_ipc::{
    CompressionType,
    writer::{FileWriter, IpcWriteOptions, StreamWriter},
};

use super::table::Table;

/// More bytes than any machine has, and fewer than an address can say.
const MUCH: i64 = 1 << 45;

fn batch() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a", "c"].into_iter().collect();
    let texts = StringArray::from(vec![Some("one two three four five six seven"), None, Some("x"), Some("yy")]);
    RecordBatch::try_from_iter([("word", Arc::new(words) as _), ("text", Arc::new(texts) as _)]).unwrap()
}

/// Files by their extensions.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let batch = batch();
    let mut files = Vec::new();
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut file = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options.clone()).unwrap();
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        for _ in 0..2 {
            file.write(&batch).unwrap();
            stream.write(&batch).unwrap();
        }
        files.push(("arrow", file.into_inner().unwrap()));
        files.push(("arrows", stream.into_inner().unwrap()));
    }
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    files.push(("parquet", writer.into_inner().unwrap()));
    files
}

/// The rows that are read, or what is said instead.
fn rows(path: &Path) -> Result<usize, String> {
    let table = Table::open(path).map_err(|e| e.to_string())?;
    let batches = table.read(None).map_err(|e| e.to_string())?;
    batches.map(|batch| batch.map(|batch| batch.num_rows()).map_err(|e| e.to_string())).sum()
}

/// A file that is changed in place: file systems take their time over files that are replaced.
struct Damaged {
    path: PathBuf,
    file: File,
    whole: Vec<u8>,
}

impl Damaged {
    fn new(folder: &Path, extension: &str, whole: Vec<u8>) -> Self {
        let path = folder.join("table").with_extension(extension);
        fs::write(&path, &whole).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        Self { path, file, whole }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.file.seek(SeekFrom::Start(at as u64)).unwrap();
        self.file.write_all(bytes).unwrap();
    }

    /// What is read with `bytes` at `at`.
    fn with(&mut self, at: usize, bytes: &[u8]) -> Result<usize, String> {
        self.put(at, bytes);
        let rows = rows(&self.path);
        let original = self.whole[at..at + bytes.len()].to_vec();
        self.put(at, &original);
        rows
    }
}

#[test]
fn a_wrong_byte_or_number_is_no_end_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    for (extension, whole) in files() {
        let mut file = Damaged::new(folder.path(), extension, whole.clone());
        let expected = if extension == "parquet" { 4 } else { 8 };
        assert_eq!(file.with(0, &[]), Ok(expected), "{extension}");
        let mut refused = 0;
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0xff, whole[at] ^ 0x10] {
                refused += usize::from(file.with(at, &[value]).is_err());
            }
            if at + 8 <= whole.len() {
                refused += usize::from(file.with(at, &MUCH.to_le_bytes()).is_err());
            }
        }
        assert!(refused > whole.len(), "{extension}: {refused} of {} were refused", whole.len());
        for end in (0..whole.len()).rev() {
            file.file.set_len(end as u64).unwrap();
            let part = rows(&file.path);
            // A stream may end between two of its messages.
            assert!(part.is_err() || extension == "arrows", "{extension} cut at {end}: {part:?}");
        }
    }
}

#[test]
fn an_arrow_file_that_announces_more_than_there_is_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for (extension, whole) in files().into_iter().filter(|(extension, _)| *extension != "parquet") {
        let mut file = Damaged::new(folder.path(), extension, whole);
        for at in (0..file.whole.len() - 8).step_by(8) {
            let said = file.with(at, &MUCH.to_le_bytes());
            found += usize::from(said.is_err_and(|said| said.contains(&MUCH.to_string())));
        }
    }
    assert!(found >= 10, "{found}");
}

#[test]
fn a_footer_of_two_billion_row_groups_is_refused_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.parquet");
    // Version 1, a schema of one group without columns, no rows, and a list of row groups that does not come.
    let footer = b"\x15\x02\x19\x1c\x48\x04root\x15\x00\x00\x16\x00\x19\xfc\xff\xff\xff\xff\x07";
    let length = (footer.len() as u32).to_le_bytes();
    fs::write(&path, [&b"PAR1"[..], footer, &length, b"PAR1"].concat()).unwrap();
    let said = rows(&path).unwrap_err();
    assert!(said.contains("2147483647 row groups"), "{said}");
    assert!(said.contains("table.parquet"), "{said}");
}
