//! The little of protobuf that a graph's description takes: fields in order, and payloads passed over unread.
//!
//! A model of gigabytes is mostly weights, so nothing here reads a field that nobody asked for. The file is not trusted:
//! a length is checked against its message before it is used, and the names together have a bound.

use std::io::{BufReader, Read, Seek};

use imbed_core::{Error, ErrorKind, Result};

/// Bytes of all names together; the largest published graphs have a few megabytes.
const NAMES: u64 = 64 << 20;

/// A file, read field by field.
#[derive(Debug)]
pub(crate) struct Wire<R> {
    from: BufReader<R>,
    /// Bytes before the next one that is read.
    at: u64,
    /// Bytes that names may still take.
    names: u64,
}

/// A field's number, and its value or where that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// A whole number.
    Varint(u64),
    /// A number of this many bytes, not read yet.
    Fixed(u64),
    /// A string, a message or packed numbers up to this place in the file, not read yet.
    Until(u64),
}

impl<R: Read + Seek> Wire<R> {
    /// Over `file`, from its start.
    pub(crate) fn new(file: R) -> Self {
        Self { from: BufReader::new(file), at: 0, names: NAMES }
    }

    /// The next field of the message that ends at `end`, or `None` at its end. The one before must be read or skipped.
    pub(crate) fn field(&mut self, end: u64) -> Result<Option<Field>> {
        if self.at == end {
            return Ok(None);
        }
        let tag = self.varint(end)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| self.broken("no field begins here"))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint(end)?),
            1 => Value::Fixed(8),
            2 => {
                let length = self.varint(end)?;
                let until = self.at.checked_add(length).filter(|until| *until <= end);
                Value::Until(until.ok_or_else(|| self.broken("a field is longer than what holds it"))?)
            }
            5 => Value::Fixed(4),
            _ => return Err(self.broken("no field has this type")),
        };
        if let Value::Fixed(bytes) = value
            && end - self.at < bytes
        {
            return Err(self.broken("a number is cut off"));
        }
        Ok(Some(Field { number, value }))
    }

    /// Passes over a field's value.
    pub(crate) fn skip(&mut self, value: Value) -> Result<()> {
        let bytes = match value {
            Value::Varint(_) => return Ok(()),
            Value::Fixed(bytes) => bytes,
            Value::Until(until) => until - self.at,
        };
        // In steps, as a step is signed.
        let mut left = bytes;
        while left > 0 {
            let step = left.min(1 << 62);
            self.from.seek_relative(step as i64).map_err(|e| self.unreadable(e))?;
            left -= step;
        }
        self.at += bytes;
        Ok(())
    }

    /// The text that ends at `until`.
    pub(crate) fn text(&mut self, until: u64) -> Result<String> {
        let length = until - self.at;
        self.names = self.names.checked_sub(length).ok_or_else(|| self.broken("the names take more than 64 MiB"))?;
        let mut bytes = vec![0; length as usize];
        self.from.read_exact(&mut bytes).map_err(|e| self.unreadable(e))?;
        self.at = until;
        String::from_utf8(bytes).map_err(|_| self.broken("a name is not UTF-8"))
    }

    fn varint(&mut self, end: u64) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            if self.at >= end {
                return Err(self.broken("a number is cut off"));
            }
            let mut byte = [0];
            self.from.read_exact(&mut byte).map_err(|e| self.unreadable(e))?;
            self.at += 1;
            let bits = u64::from(byte[0] & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte[0] < 0x80 {
                return Ok(number);
            }
        }
        Err(self.broken("a number is longer than 64 bits"))
    }

    /// The error of a file that is not what it should be.
    pub(crate) fn broken(&self, why: &str) -> Error {
        Error::new(ErrorKind::Model, format!("not a whole ONNX file: at byte {}: {why}", self.at))
            .hint("fetch the file again and compare its size with the published one")
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("at byte {}: {error}", self.at)).source(error)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// Writes messages the simple way.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Message(pub(crate) Vec<u8>);

    impl Message {
        fn varint(&mut self, mut number: u64) {
            while number >= 0x80 {
                self.0.push(number as u8 | 0x80);
                number >>= 7;
            }
            self.0.push(number as u8);
        }

        pub(crate) fn number(mut self, field: u64, number: u64) -> Self {
            self.varint(field << 3);
            self.varint(number);
            self
        }

        pub(crate) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
            self.varint(field << 3 | 2);
            self.varint(bytes.len() as u64);
            self.0.extend_from_slice(bytes);
            self
        }

        pub(crate) fn text(self, field: u64, text: &str) -> Self {
            self.bytes(field, text.as_bytes())
        }

        pub(crate) fn message(self, field: u64, message: &Self) -> Self {
            self.bytes(field, &message.0)
        }
    }

    /// Every field, with texts read and the rest skipped; stops at the first error.
    fn walk(bytes: &[u8]) -> Result<Vec<(u32, Option<String>)>> {
        let mut wire = Wire::new(Cursor::new(bytes));
        let mut fields = Vec::new();
        while let Some(field) = wire.field(bytes.len() as u64)? {
            let text = match field.value {
                Value::Until(until) if field.number == 1 => Some(wire.text(until)?),
                value => {
                    wire.skip(value)?;
                    None
                }
            };
            fields.push((field.number, text));
        }
        Ok(fields)
    }

    #[test]
    fn fields_are_read_or_skipped_in_order() {
        let mut message = Message::default().text(1, "name").number(2, u64::MAX).bytes(3, &vec![0; 20_000]);
        message.0.extend_from_slice(&[4 << 3 | 5, 1, 2, 3, 4, 5 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        let fields = walk(&message.text(1, "last").0).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(fields, [(1, text("name")), (2, None), (3, None), (4, None), (5, None), (1, text("last"))]);
    }

    #[test]
    fn a_length_beyond_the_message_is_refused_before_anything_is_allocated() {
        let mut huge = Message::default();
        huge.varint(1 << 3 | 2);
        huge.varint(u64::MAX);
        assert_eq!(walk(&huge.0).unwrap_err().kind(), ErrorKind::Model);
    }

    #[test]
    fn groups_field_zero_and_endless_numbers_are_refused() {
        for bytes in [&[0x0b][..], &[0x00, 0x01], &[0xff; 11], &[0x08], &[0x0d, 1], &[0x08, 0x80]] {
            assert_eq!(walk(bytes).unwrap_err().kind(), ErrorKind::Model, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = walk(&bytes);
        }

        #[test]
        fn what_was_written_is_read_and_a_part_of_it_is_refused_or_shorter(
            texts in prop::collection::vec("\\PC{0,40}", 1..10),
            cut in any::<prop::sample::Index>(),
        ) {
            let message = texts.iter().fold(Message::default(), |message, text| message.text(1, text));
            let read: Vec<String> = walk(&message.0).unwrap().into_iter().filter_map(|(_, text)| text).collect();
            prop_assert_eq!(&read, &texts);
            let part = &message.0[..cut.index(message.0.len())];
            prop_assert!(walk(part).is_ok_and(|fields| fields.len() < texts.len()) || walk(part).is_err());
        }
    }
}
