//! A folder with images and tables of our own making, and the program to run in it.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, RecordBatch, StringArray, cast::AsArray, types::Float32Type,
};
use arrow_schema::{DataType, Field, Schema};
use assert_cmd::Command;
use imbed::core::image::{EncodeFormat, Image, Mode, Samples, encode};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

/// A temporary folder that commands run in.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With `n` images in `shots/`: `00.png`, `01.png`, …
    pub(crate) fn with_shots(n: usize) -> Self {
        let folder = Self::new();
        for i in 0..n {
            folder.write(&format!("shots/{i:02}.png"), &png(i));
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The program, to be run in this folder, unmoved by the environment of whoever runs the tests, and off the network.
    pub(crate) fn imbed(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("imbed").unwrap();
        let moves = |name: &str| ["IMBED_", "HF_", "HUGGING", "AWS_"].iter().any(|start| name.starts_with(start));
        for (name, _) in std::env::vars().filter(|(name, _)| moves(name)) {
            command.env_remove(name);
        }
        command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.path("hf"));
        command.current_dir(self.0.path()).args(args);
        command
    }

    /// Runs `imbed embed ARGS -o out.parquet --overwrite`, which must succeed, and reads the output.
    pub(crate) fn embed(&self, args: &[&str]) -> Embedded {
        self.embed_with_code(args, 0)
    }

    /// The same where another exit code is expected.
    pub(crate) fn embed_with_code(&self, args: &[&str], code: i32) -> Embedded {
        let args: Vec<&str> =
            ["embed"].iter().chain(args).chain(&["-o", "out.parquet", "--overwrite", "--quiet"]).copied().collect();
        self.imbed(&args).assert().code(code);
        Embedded::read(&self.path("out.parquet"))
    }

    /// Names of everything in the folder itself, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }
}

/// What a command printed on stderr.
pub(crate) fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// What a command printed on stdout.
pub(crate) fn stdout(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

/// An output read back.
pub(crate) struct Embedded {
    pub(crate) batch: RecordBatch,
}

impl Embedded {
    pub(crate) fn read(path: &Path) -> Self {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        Self { batch: arrow_select::concat::concat_batches(&schema, &batches).unwrap() }
    }

    pub(crate) fn columns(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|f| f.name().clone()).collect()
    }

    pub(crate) fn texts(&self, column: &str) -> Vec<Option<String>> {
        let texts = self.batch.column_by_name(column).unwrap().as_string::<i32>();
        texts.iter().map(|t| t.map(str::to_owned)).collect()
    }

    pub(crate) fn vectors(&self) -> Vec<Option<Vec<f32>>> {
        vectors(self.batch.column_by_name("embedding").unwrap().as_fixed_size_list())
    }
}

pub(crate) fn vectors(list: &FixedSizeListArray) -> Vec<Option<Vec<f32>>> {
    list.iter().map(|row| row.map(|row| row.as_primitive::<Float32Type>().values().to_vec())).collect()
}

/// The largest difference of two columns of vectors; panics where one is null and the other is not.
pub(crate) fn largest_difference(a: &[Option<Vec<f32>>], b: &[Option<Vec<f32>>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut largest = 0.0f32;
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.is_some(), b.is_some(), "row {row}");
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            largest = largest.max((a - b).abs());
        }
    }
    largest
}

/// An image like no other: a gradient and a rectangle whose colours, sizes and places depend on `i`.
pub(crate) fn image(i: usize) -> Image {
    let (width, height) = (40 + 3 * (i as u32 % 5), 32 + 5 * (i as u32 % 3));
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let inside = x > 4 + i as u32 % 7 && x < 20 + i as u32 % 11 && y > 6 && y < 24;
            let colour = [i * 37 % 256, i * 91 % 256, i * 53 % 256];
            let gradient = [x * 5 % 256, y * 7 % 256, (x + y + 13 * i as u32) % 256];
            pixels.extend(if inside { colour.map(|c| c as u8) } else { gradient.map(|c| c as u8) });
        }
    }
    Image::new(Mode::Rgb, width, height, Samples::U8(pixels)).unwrap()
}

pub(crate) fn png(i: usize) -> Vec<u8> {
    encode(&image(i), EncodeFormat::Png).unwrap()
}

pub(crate) fn jpeg(i: usize) -> Vec<u8> {
    encode(&image(i), EncodeFormat::Jpeg { quality: 90 }).unwrap()
}

pub(crate) fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(crate) fn binary(values: &[Option<Vec<u8>>]) -> ArrayRef {
    Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>())
}

/// A batch whose columns are all nullable.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(name, a)| Field::new(*name, a.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, a)| a).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

pub(crate) fn write_parquet(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The metadata of the embedding column.
pub(crate) fn provenance(embedded: &Embedded) -> HashMap<String, String> {
    embedded.batch.schema().field_with_name("embedding").unwrap().metadata().clone()
}

/// The number of numbers in each vector.
pub(crate) fn dimensions(embedded: &Embedded) -> i32 {
    match embedded.batch.schema().field_with_name("embedding").unwrap().data_type() {
        DataType::FixedSizeList(item, size) => {
            assert_eq!(item.data_type(), &DataType::Float32);
            assert!(!item.is_nullable());
            *size
        }
        other => panic!("{other}"),
    }
}
