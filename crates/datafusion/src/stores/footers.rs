//! A store that looks at the footers of Parquet files on their way to DataFusion's reader.
//!
//! That reader takes the end of a file, and then the footer if it was not in it, and takes memory for as many row groups as are
//! announced there. Both reads come by here, whichever part of a query wants them and on whichever machine.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use imbed_core::{
    ErrorKind,
    footer::{self, TRAILER},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, path::Path,
};

pub(super) struct Footers {
    inner: Arc<dyn ObjectStore>,
    /// What stands before a key in messages, such as `s3://bucket/`.
    root: String,
    /// Where footers are that were not in the ends that were read.
    announced: Mutex<HashMap<Path, Range<u64>>>,
}

impl Footers {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, root: String) -> Self {
        Self { inner, root, announced: Mutex::default() }
    }

    /// Looks at what was read of `range`.
    fn check(&self, location: &Path, range: &Range<u64>, bytes: &Bytes) -> imbed_core::Result<()> {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(footer) = announced.get(location)
            && let Some(start) = footer.start.checked_sub(range.start)
            && let Some(footer) = bytes.get(start as usize..(start + footer.end - footer.start) as usize)
        {
            footer::check(footer)?;
        }
        if let Some(length) = footer::length(bytes) {
            let end = range.start + (bytes.len() - TRAILER) as u64;
            let Some(start) = end.checked_sub(length) else {
                let why = format!("the Parquet file is damaged: its footer is said to have {length} bytes of {end}");
                return Err(imbed_core::Error::new(ErrorKind::BadInput, why).hint("copy or write the table again"));
            };
            if start < range.start {
                announced.insert(location.clone(), start..end);
            }
        }
        footer::check_end(bytes)
    }
}

#[async_trait]
impl ObjectStore for Footers {
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = self.inner.get_ranges(location, ranges).await?;
        for (range, bytes) in ranges.iter().zip(&read) {
            self.check(location, range, bytes).map_err(|e| {
                let ours = e.context(format_args!("{}{location}", self.root));
                Error::Generic { store: "Parquet", source: Box::new(ours) }
            })?;
        }
        Ok(read)
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Display for Footers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

// Not the store: what those of `object_store` print of themselves holds their settings.
impl fmt::Debug for Footers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Footers").field("root", &self.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    /// A list of two billion row groups that do not come, behind a text, and the whole file.
    fn file(text: usize) -> (Vec<u8>, Vec<u8>) {
        // Field 1 has a length of three bytes.
        let mut footer = vec![0x18, (text & 0x7f) as u8 | 0x80, (text >> 7 & 0x7f) as u8 | 0x80, (text >> 14) as u8];
        footer.resize(footer.len() + text, b'x');
        footer.extend(b"\x39\xfc\xff\xff\xff\xff\x07");
        let file = [b"PAR1 data", &footer[..], &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
        (footer, file)
    }

    async fn store(file: &[u8]) -> (Footers, Path) {
        let (inner, path) = (InMemory::new(), Path::from("a/x.parquet"));
        inner.put(&path, file.to_vec().into()).await.unwrap();
        (Footers::new(Arc::new(inner), "s3://bucket/".to_owned()), path)
    }

    #[tokio::test]
    async fn a_footer_is_looked_at_whether_it_comes_with_the_end_or_after_it() {
        let (footer, file) = file(20_000);
        let size = file.len() as u64;
        let (start, end) = (size - 8 - footer.len() as u64, size - 8);
        let reads =
            [(None, 0..size), (None, start..size), (Some(end..size), start..end), (Some(size - 9..size), 0..end)];
        for (before, last) in reads {
            let (store, path) = store(&file).await;
            if let Some(range) = before {
                store.get_ranges(&path, &[range]).await.unwrap();
            }
            let error = store.get_ranges(&path, &[last]).await.unwrap_err();
            let said = crate::store_error("", &error).to_string();
            assert!(said.contains("s3://bucket/a/x.parquet: the Parquet file is damaged"), "{said}");
            assert!(said.contains("2147483647 row groups"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_footer_longer_than_its_file_is_refused() {
        let file = b"PAR1 data\xff\xff\xff\x7fPAR1";
        let (store, path) = store(file).await;
        let end = 9..file.len() as u64;
        let error = store.get_ranges(&path, &[end]).await.unwrap_err();
        let said = crate::store_error("", &error).to_string();
        assert!(said.contains("its footer is said to have 2147483647 bytes of 9"), "{said}");
    }

    #[tokio::test]
    async fn other_reads_are_left_alone() {
        let (_, file) = file(20_000);
        let (store, path) = store(&file).await;
        let size = file.len() as u64;
        let read = store.get_ranges(&path, &[0..9, size - 8..size, size - 100..size - 8, 4..5]).await.unwrap();
        assert_eq!(read.iter().map(Bytes::len).collect::<Vec<_>>(), [9, 8, 92, 1]);
    }
}
