//! What a file says of the lengths of its messages, looked at before they are read: the reader of arrow-rs takes memory as they say, and
//! a program that asks for more than there is comes to its end.

use std::{
    fs::File,
    hint::black_box,
    io::{self, Read, Seek, SeekFrom},
};

use arrow_ipc::{Block, Message, MessageHeader, RecordBatch, root_as_footer, root_as_message};
use imbed::core::{Error, Result};

use crate::source::guard::damaged;

/// Stands before the length of a message, other than in the oldest files.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The length of the footer and the format's name, at the end of a file.
const TRAILER: u64 = 10;

/// The messages of a file, gone through one step ahead of the reader.
pub(super) struct Lengths {
    file: File,
    length: u64,
    next: Next,
}

enum Next {
    /// In the file format: blocks that the footer lists.
    Blocks(std::vec::IntoIter<Block>),
    /// In the stream format: where the next message begins.
    At(u64),
    /// Nothing that could be understood. The reader says why.
    Nothing,
}

impl Lengths {
    /// Of a file in the file format, of which everything that comes before the first record batch has been looked at.
    pub(super) fn of_file(mut file: File) -> Result<Self> {
        let length = length(&file)?;
        let (dictionaries, next) = match footer(&mut file, length).map_err(read)? {
            Some((dictionaries, batches)) => (dictionaries, Next::Blocks(batches.into_iter())),
            None => (Vec::new(), Next::Nothing),
        };
        let mut this = Self { file, length, next };
        for block in dictionaries {
            this.block(&block)?;
        }
        Ok(this)
    }

    /// Of a file in the stream format; its schema has been looked at.
    pub(super) fn of_stream(file: File) -> Result<Self> {
        let length = length(&file)?;
        let mut this = Self { file, length, next: Next::At(0) };
        this.message_at(0)?;
        Ok(this)
    }

    /// Looks at what is read until the next record batch is there.
    pub(super) fn advance(&mut self) -> Result<()> {
        match &mut self.next {
            Next::Blocks(blocks) => match blocks.next() {
                Some(block) => self.block(&block),
                None => Ok(()),
            },
            Next::At(_) => {
                while let Next::At(at) = self.next {
                    if self.message_at(at)? == Some(MessageHeader::RecordBatch) {
                        break;
                    }
                }
                Ok(())
            }
            Next::Nothing => Ok(()),
        }
    }

    /// A message that the footer tells of.
    fn block(&mut self, block: &Block) -> Result<()> {
        let numbers = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from);
        let [Ok(at), Ok(header), Ok(body)] = numbers else {
            return Err(damaged("the Arrow file is damaged: a record batch has a negative length"));
        };
        self.check_within(at, header.saturating_add(body))?;
        let prefix = if self.bytes(at, 4).map_err(read)? == CONTINUATION { 8 } else { 4 };
        // The reader does not keep to the header's length, and may find one where there is none.
        let bytes = self.bytes(at + prefix, header.saturating_sub(prefix)).map_err(read)?;
        let message = root_as_message(&bytes)
            .map_err(|_| damaged(format!("the Arrow file is damaged: at byte {at} there is no record batch")))?;
        self.check_unpacked(message, at + header)
    }

    /// A message of a stream: its kind, unless there are no more.
    fn message_at(&mut self, at: u64) -> Result<Option<MessageHeader>> {
        self.next = Next::Nothing;
        let Some((start, header)) = self.header(at).map_err(read)? else { return Ok(None) };
        self.check_within(start, header)?;
        let bytes = self.bytes(start, header).map_err(read)?;
        let Ok(message) = root_as_message(&bytes) else { return Ok(None) };
        let body = u64::try_from(message.bodyLength())
            .map_err(|_| damaged("the Arrow stream is damaged: a record batch has a negative length"))?;
        let end = start + header;
        self.check_within(end, body)?;
        self.check_unpacked(message, end)?;
        self.next = Next::At(end + body);
        Ok(Some(message.header_type()))
    }

    /// Where the header of the message at `at` begins and how long it is.
    fn header(&mut self, at: u64) -> io::Result<Option<(u64, u64)>> {
        let (mut start, mut bytes) = (at, self.bytes(at, 4)?);
        if bytes == CONTINUATION {
            start += 4;
            bytes = self.bytes(start, 4)?;
        }
        let number = <[u8; 4]>::try_from(bytes).map_or(0, i32::from_le_bytes);
        Ok(u64::try_from(number).ok().filter(|length| *length > 0).map(|length| (start + 4, length)))
    }

    fn check_within(&self, at: u64, bytes: u64) -> Result<()> {
        let left = self.length.saturating_sub(at);
        if bytes <= left {
            return Ok(());
        }
        Err(damaged(format!(
            "the Arrow file is damaged or cut off: at byte {at} it announces {bytes} bytes and has {left} more"
        )))
    }

    /// Refuses a batch that becomes more than there is memory, of what its compressed buffers say.
    fn check_unpacked(&mut self, message: Message<'_>, body: u64) -> Result<()> {
        let of_dictionary = || message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        let Some(batch) = message.header_as_record_batch().or_else(of_dictionary) else { return Ok(()) };
        let bytes = self.unpacked(batch, body).map_err(read)?;
        if is_to_be_had(bytes) {
            return Ok(());
        }
        Err(damaged(format!("the Arrow file is damaged: a record batch announces {bytes} bytes once it is unpacked")))
    }

    fn unpacked(&mut self, batch: RecordBatch<'_>, body: u64) -> io::Result<u64> {
        let buffers = batch.compression().and(batch.buffers());
        let mut sum = 0_u64;
        for buffer in buffers.into_iter().flatten() {
            let Ok(offset) = u64::try_from(buffer.offset()) else { continue };
            if let Ok(number) = <[u8; 8]>::try_from(self.bytes(body.saturating_add(offset), 8)?) {
                // -1 is a buffer that is stored as it is.
                sum = sum.saturating_add(u64::try_from(i64::from_le_bytes(number)).unwrap_or(0));
            }
        }
        Ok(sum)
    }

    /// `count` bytes at `at`, or those that there are.
    fn bytes(&mut self, at: u64, count: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(at.min(self.length)))?;
        let mut bytes = Vec::new();
        (&self.file).take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The dictionaries and record batches that the footer lists, if it can be read.
fn footer(file: &mut File, length: u64) -> io::Result<Option<(Vec<Block>, Vec<Block>)>> {
    let Some(end) = length.checked_sub(TRAILER) else { return Ok(None) };
    let mut bytes = [0; 4];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut bytes)?;
    let Ok(size) = u64::try_from(i32::from_le_bytes(bytes)) else { return Ok(None) };
    let Some(start) = end.checked_sub(size) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the footer is longer than the file"));
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(size).read_to_end(&mut bytes)?;
    let Ok(footer) = root_as_footer(&bytes) else { return Ok(None) };
    let [dictionaries, batches] = [footer.dictionaries(), footer.recordBatches()]
        .map(|blocks| blocks.into_iter().flatten().copied().collect::<Vec<_>>());
    Ok(Some((dictionaries, batches)))
}

fn length(file: &File) -> Result<u64> {
    file.metadata().map(|metadata| metadata.len()).map_err(read)
}

/// Whether the system gives so much memory at a time. It is given back unused.
fn is_to_be_had(bytes: u64) -> bool {
    let mut memory = Vec::<u8>::new();
    let given = usize::try_from(bytes).is_ok_and(|bytes| memory.try_reserve_exact(bytes).is_ok());
    // Or the compiler would see that nobody needs it, and not ask.
    black_box(&memory);
    given
}

fn read(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => damaged(format!("the Arrow file is damaged: {error}")),
        _ => Error::io("read", error),
    }
}
