//! Parts in a bucket.
//!
//! An object is there whole or not at all, so a part is committed by the request that puts it, or that makes one of its pieces.
//! Buckets have no locks.

use std::{env, fmt, sync::Arc};

use datafusion::execution::object_store::ObjectStoreRegistry;
use imbed::core::{Error, ErrorKind, Result, footer};
use imbed_datafusion::{Stores, cause, store_error};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::Place;
use crate::sink::atomic::AtomicFile;

/// The end of every Parquet file: how long its footer is, and a mark.
const TAIL: u64 = 8;

/// Bytes of one request at most: a slow line, too, must get them through in the time that a request may take. S3 takes no pieces
/// that are smaller.
const PIECE: usize = 5 << 20;

pub(in crate::sink::parts) struct Bucket {
    /// With a slash at its end.
    address: String,
    folder: Path,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

impl Bucket {
    /// The folder at `address`, such as `s3://bucket/embeddings/`. Nothing is asked of the service yet.
    pub(in crate::sink::parts) fn new(address: &str) -> Result<Self> {
        let bad = |why: String| Error::new(ErrorKind::BadInput, format!("{address}: {why}"));
        let url = Url::parse(address).map_err(|e| bad(format!("this is not an address: {e}")))?;
        let folder = Path::from_url_path(url.path()).map_err(|e| bad(e.to_string()))?;
        let store = Stores::from_environment().get_store(&url).map_err(|e| cause(&e))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::io("cannot start what speaks to the bucket", e))?;
        Ok(Self { address: format!("{}/", address.trim_end_matches('/')), folder, store, runtime })
    }

    fn path(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    fn failed(&self, name: &str, error: &object_store::Error) -> Error {
        store_error(&format!("{}{name}", self.address), error)
    }

    /// The content of an object; `None` where there is none.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let got = self.runtime.block_on(async { self.store.get(&self.path(name)).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    /// Sends `bytes` in pieces, of which the last request makes an object.
    async fn put_in_pieces(&self, path: &Path, bytes: &[u8]) -> object_store::Result<()> {
        let mut upload = self.store.put_multipart(path).await?;
        let sent = async {
            for piece in bytes.chunks(PIECE) {
                upload.put_part(piece.to_vec().into()).await?;
            }
            upload.complete().await
        };
        if let Err(error) = sent.await {
            // A store that has gone keeps the pieces; its rule for incomplete uploads removes them.
            let _ = upload.abort().await;
            return Err(error);
        }
        Ok(())
    }
}

impl Place for Bucket {
    fn shown(&self) -> String {
        self.address.clone()
    }

    fn names(&self) -> Result<Vec<String>> {
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&self.folder)));
        let listed = listed.map_err(|e| self.failed("", &e))?;
        let mut names: Vec<String> = listed
            .objects
            .iter()
            // A service without folders may give what is further below, too.
            .filter(|object| object.location.parts().count() == self.folder.parts().count() + 1)
            .filter_map(|object| object.location.filename().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    fn hold(&mut self) -> Result<()> {
        Ok(())
    }

    fn stays(&mut self) {}

    fn passes(&mut self) {}

    fn footer(&self, name: &str) -> Result<(ParquetMetaData, u64)> {
        let failed = |e: object_store::Error| self.failed(name, &e);
        let wrong = || Error::new(ErrorKind::BadInput, format!("{}{name}: this is no Parquet file", self.address));
        let path = self.path(name);
        let size = self.runtime.block_on(self.store.head(&path)).map_err(failed)?.size;
        let range = |range| self.runtime.block_on(self.store.get_range(&path, range)).map_err(failed);
        let start = size.checked_sub(TAIL).ok_or_else(wrong)?;
        let tail = FooterTail::try_from(range(start..size)?.as_ref()).map_err(|_| wrong())?;
        let footer = start.checked_sub(tail.metadata_length() as u64).ok_or_else(wrong)?;
        let footer = range(footer..start)?;
        footer::check(&footer).map_err(|e| e.context(format_args!("{}{name}", self.address)))?;
        let metadata = ParquetMetaDataReader::decode_metadata(&footer).map_err(|_| wrong())?;
        Ok((metadata, size))
    }

    fn create(&self) -> Result<AtomicFile> {
        let folder = env::temp_dir();
        AtomicFile::create_in(&folder, "imbed-writes", &folder.join("imbed-part"), false)
    }

    fn put(&self, file: AtomicFile, name: &str) -> Result<u64> {
        let bytes = file.into_bytes()?;
        let size = bytes.len() as u64;
        self.write(name, &bytes)?;
        Ok(size)
    }

    /// The new one is there before the old one goes: who dies in between leaves both, of which one is kept.
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let bytes =
            self.get(from)?.ok_or_else(|| Error::new(ErrorKind::Io, format!("{}{from} has gone", self.address)))?;
        self.write(to, &bytes)?;
        self.remove(from)
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            // Objects are removed by lists, so that the error names none.
            Err(error) => Err(self.failed(name, &error).context(format!("{}{name} cannot be removed", self.address))),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.get(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        let put = async {
            if bytes.len() > PIECE {
                self.put_in_pieces(&path, bytes).await
            } else {
                self.store.put(&path, bytes.to_vec().into()).await.map(drop)
            }
        };
        self.runtime.block_on(put).map_err(|e| self.failed(name, &e))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("address", &self.address).finish_non_exhaustive()
    }
}
