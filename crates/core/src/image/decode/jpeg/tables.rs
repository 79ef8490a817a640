//! Quantisation tables, Huffman tables and the restart interval (T.81, B.2.4).

use super::{
    frame::COEFFICIENTS,
    huffman::{Code, Table},
    markers::{self, Cursor},
    refusal::{Result, damaged, unsupported},
    standard,
    zigzag::place,
};

/// Quantisation steps, row by row.
pub(crate) type Steps = [i16; COEFFICIENTS];

/// What segments set for the scans after them.
#[derive(Default)]
pub(crate) struct Tables {
    steps: [Option<Box<Steps>>; 4],
    dc: [Option<Code>; 4],
    ac: [Option<Code>; 4],
    /// Units between restarts; 0 for none.
    pub(crate) restart_interval: usize,
}

impl Tables {
    /// Reads or passes over a segment that is neither a frame, a scan nor the end.
    pub(crate) fn read(&mut self, marker: u8, cursor: &mut Cursor<'_>) -> Result<()> {
        match marker {
            markers::TEM | markers::RST0..=markers::RST7 => Ok(()),
            markers::DQT => self.read_steps(cursor),
            markers::DHT => self.read_codes(cursor),
            markers::DRI => {
                let &[high, low] = cursor.payload()? else { return damaged(cursor.at, "a restart interval's length") };
                self.restart_interval = u16::from_be_bytes([high, low]).into();
                Ok(())
            }
            markers::APP0..=markers::APP15 | markers::COM | markers::DNL => cursor.payload().map(|_| ()),
            markers::DAC => unsupported("arithmetic coding"),
            markers::DHP | markers::EXP => unsupported("hierarchical coding"),
            markers::SOI => damaged(cursor.at, "a second picture starts within it"),
            _ => damaged(cursor.at, format_args!("an unknown segment 0x{marker:02x}")),
        }
    }

    /// Puts the codes of T.81, annex K.3, where the file has none: Motion JPEG leaves them out.
    pub(crate) fn fill_in_standard_codes(&mut self) {
        for (number, (dc, ac)) in standard::codes().into_iter().enumerate() {
            self.dc[number].get_or_insert(dc);
            self.ac[number].get_or_insert(ac);
        }
    }

    fn read_steps(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let mut rest = cursor.payload()?;
        while let Some((&kind, after)) = rest.split_first() {
            let bytes_each = if kind >> 4 == 0 { 1 } else { 2 };
            let Some((values, after)) = after.split_at_checked(COEFFICIENTS * bytes_each) else {
                return damaged(cursor.at, "a quantisation table is too short");
            };
            let Some(table) = self.steps.get_mut(usize::from(kind & 15)) else {
                return damaged(cursor.at, format_args!("a quantisation table has the number {}", kind & 15));
            };
            let mut steps = Box::new([0; COEFFICIENTS]);
            for (number, value) in values.chunks_exact(bytes_each).enumerate() {
                // 16 bits wrap as in libjpeg's vector code; real steps have 15 at most.
                steps[place(number)] = value.iter().fold(0_u16, |steps, byte| steps << 8 | u16::from(*byte)) as i16;
            }
            *table = Some(steps);
            rest = after;
        }
        Ok(())
    }

    fn read_codes(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let mut rest = cursor.payload()?;
        while let Some((&kind, after)) = rest.split_first() {
            let Some((counts, after)) = after.split_first_chunk::<16>() else {
                return damaged(cursor.at, "a Huffman table is too short");
            };
            let symbols = counts.iter().map(|count| usize::from(*count)).sum();
            let Some((symbols, after)) = after.split_at_checked(symbols).filter(|_| symbols <= 256) else {
                return damaged(cursor.at, format_args!("a Huffman table of {symbols} symbols"));
            };
            let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let Some(table) = tables.get_mut(usize::from(kind & 15)).filter(|_| kind >> 4 < 2) else {
                return damaged(cursor.at, format_args!("a Huffman table has the number 0x{kind:02x}"));
            };
            *table = Some(Code { counts: *counts, symbols: symbols.to_vec() });
            rest = after;
        }
        Ok(())
    }

    pub(crate) fn steps(&self, number: usize, at: usize) -> Result<Steps> {
        match self.steps.get(number) {
            Some(Some(steps)) => Ok(**steps),
            _ => damaged(at, format_args!("quantisation table {number} is missing")),
        }
    }

    /// DC Huffman table `number`, for the scan at byte `at`.
    pub(crate) fn dc(&self, number: usize, at: usize) -> Result<Box<Table>> {
        let code = code(&self.dc, "DC", number, at)?;
        if code.symbols.iter().any(|size| *size > 15) {
            return damaged(at, format_args!("DC Huffman table {number} has sizes over 15"));
        }
        table(code, "DC", number, at)
    }

    /// AC Huffman table `number`, for the scan at byte `at`.
    pub(crate) fn ac(&self, number: usize, at: usize) -> Result<Box<Table>> {
        table(code(&self.ac, "AC", number, at)?, "AC", number, at)
    }
}

fn code<'t>(codes: &'t [Option<Code>; 4], kind: &str, number: usize, at: usize) -> Result<&'t Code> {
    match codes.get(number) {
        Some(Some(code)) => Ok(code),
        _ => damaged(at, format_args!("{kind} Huffman table {number} is missing")),
    }
}

fn table(code: &Code, kind: &str, number: usize, at: usize) -> Result<Box<Table>> {
    match Table::new(code) {
        Some(table) => Ok(table),
        None => damaged(at, format_args!("{kind} Huffman table {number} is no prefix code")),
    }
}
