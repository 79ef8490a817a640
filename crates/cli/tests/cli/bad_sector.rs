//! A disk that cannot read a part of a file: a library that is loaded before the C library has `read` fail there.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    fixture::{Embedded, Folder, batch, binary, png, stderr, texts, write_parquet},
    resume::{rows_of, undisturbed},
};

const BAD_SECTOR: &str = include_str!("bad_sector.c");

/// The library, compiled by the compiler that links Rust programs.
fn library(folder: &Folder) -> PathBuf {
    folder.write("bad_sector.c", BAD_SECTOR.as_bytes());
    let library = folder.path("bad_sector.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &folder.path("bad_sector.c")])
        .status()
        .expect("cc links Rust programs and compiles this library");
    assert!(compiled.success());
    library
}

/// `imbed` with a disk on which byte `at` of the files whose names end in `file` cannot be read.
fn imbed(folder: &Folder, args: &[&str], file: &str, at: u64) -> assert_cmd::Command {
    let mut command = folder.imbed(args);
    command.env("LD_PRELOAD", library(folder)).env("BAD_FILE", file).env("BAD_BYTE", at.to_string());
    command
}

#[test]
fn an_image_that_cannot_be_read_to_its_end_is_an_error_of_its_row_and_can_be_tried_again() {
    let folder = Folder::with_shots(20);
    let expected = undisturbed(&folder, &["shots"]);
    let at = png(13).len() as u64 / 2;
    let args = ["embed", "shots", "-o", "out.parquet", "--part-rows", "4", "--errors-column", "--on-error", "ignore"];
    imbed(&folder, &args, "/13.png", at).assert().code(1);
    let embedded = Embedded::read(&folder.path("out.parquet"));
    for (row, (found, expected)) in rows_of(&embedded).into_iter().zip(&expected).enumerate() {
        assert_eq!((row == 13, &found.0, found.1.is_some()), (found.1.is_none(), &expected.0, found.1 == expected.1));
    }
    let why = embedded.texts("error")[13].clone().unwrap();
    assert!(why.starts_with("io: ") && why.contains("cannot be read") && why.contains("os error 5"), "{why}");
    folder.imbed(&[&args[..], &["--resume", "--retry-failed"]].concat()).assert().code(0);
    assert_eq!(rows_of(&Embedded::read(&folder.path("out.parquet"))), expected);
}

#[test]
fn a_run_that_stops_at_an_image_that_cannot_be_read_can_be_gone_on_with() {
    let folder = Folder::with_shots(20);
    let expected = undisturbed(&folder, &["shots"]);
    let args = ["embed", "shots", "-o", "out.parquet", "--part-rows", "4", "--batch-size", "4", "--threads", "1"];
    let message = stderr(&imbed(&folder, &args, "/19.png", 100).assert().code(3));
    assert!(message.contains("shots/19.png") && message.contains("os error 5"), "{message}");
    assert!(!folder.path("out.parquet").exists());
    folder.imbed(&[&args[..], &["--resume"]].concat()).assert().code(0);
    assert_eq!(rows_of(&Embedded::read(&folder.path("out.parquet"))), expected);
}

#[test]
fn a_table_that_cannot_be_read_to_its_end_is_an_error_and_no_shorter_output() {
    let folder = Folder::new();
    let paths: Vec<String> = (0..20).map(|i| format!("{i}.png")).collect();
    let images: Vec<_> = (0..20).map(|i| Some(png(i))).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    write_parquet(&folder.path("t.parquet"), &batch(vec![("path", texts(&paths)), ("image", binary(&images))]));
    let expected = undisturbed(&folder, &["t.parquet"]);
    let middle = fs::metadata(folder.path("t.parquet")).unwrap().len() / 2;
    for output in ["out.parquet", "out.jsonl"] {
        let message =
            stderr(&imbed(&folder, &["embed", "t.parquet", "-o", output], "/t.parquet", middle).assert().code(3));
        assert!(message.contains("t.parquet") && message.contains("os error 5"), "{message}");
        assert!(!folder.path(output).exists());
    }
    folder.imbed(&["embed", "t.parquet", "-o", "out.parquet", "--resume"]).assert().code(0);
    assert_eq!(rows_of(&Embedded::read(&folder.path("out.parquet"))), expected);
}
