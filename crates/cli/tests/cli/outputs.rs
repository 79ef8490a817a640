//! What is written, and how.

use std::{
    fs::{self, File},
    sync::Arc,
};

use arrow_array::{Array, RecordBatch, cast::AsArray};

use crate::fixture::{Embedded, Folder, batch, binary, png, stderr, stdout, texts, vectors, write_parquet};

#[test]
fn every_format_gives_the_same_rows() {
    let folder = Folder::with_shots(2);
    folder.write("list.txt", b"shots/00.png\nmissing.png\nshots/01.png\n");
    let embed = |out: &str| {
        folder.imbed(&["embed", "list.txt", "--on-error", "ignore", "-o", out, "--quiet"]).assert().code(1);
    };
    embed("out.parquet");
    let parquet = Embedded::read(&folder.path("out.parquet"));
    let expected = parquet.vectors();
    assert!(expected[0].is_some() && expected[1].is_none() && expected[2].is_some());

    embed("out.arrow");
    let reader = arrow_ipc::reader::FileReader::try_new(File::open(folder.path("out.arrow")).unwrap(), None).unwrap();
    assert_eq!(reader.schema().fields(), parquet.batch.schema().fields(), "names, types and provenance");
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(vectors(batches[0].column(1).as_fixed_size_list()), expected);

    embed("out.jsonl");
    let text = fs::read_to_string(folder.path("out.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["path"], "shots/00.png");
    assert!(rows[1]["embedding"].is_null() && rows[1].as_object().unwrap().contains_key("embedding"));
    let numbers: Vec<f32> =
        rows[2]["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect();
    assert_eq!(Some(numbers), expected[2], "every bit survives the text");

    embed("out.npy");
    let npy = fs::read(folder.path("out.npy")).unwrap();
    let dimensions = expected[0].as_ref().unwrap().len();
    let header = String::from_utf8_lossy(&npy[10..128]).into_owned();
    assert!(header.contains(&format!("'shape': (3, {dimensions})")), "{header}");
    let values: Vec<f32> = npy[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(values.len(), 3 * dimensions);
    assert_eq!(&values[..dimensions], expected[0].as_ref().unwrap());
    assert!(values[dimensions..2 * dimensions].iter().all(|v| v.is_nan()));
    assert_eq!(&values[2 * dimensions..], expected[2].as_ref().unwrap());
    let keys = Embedded::read(&folder.path("out.keys.parquet"));
    assert_eq!(keys.columns(), ["path"]);
    assert_eq!(keys.batch.num_rows(), 3);
}

#[test]
fn json_lines_go_to_standard_output_and_messages_do_not() {
    let folder = Folder::with_shots(2);
    let assert = folder.imbed(&["embed", "shots", "-o", "-"]).assert().code(0);
    let rows: Vec<serde_json::Value> = stdout(&assert).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert!(stderr(&assert).contains("2 embedded"), "{}", stderr(&assert));
    folder.imbed(&["embed", "shots", "-o", "-", "--json"]).assert().code(2);
    folder.imbed(&["embed", "shots", "-o", "-", "--format", "npy"]).assert().code(2);
}

#[test]
fn an_existing_output_is_refused_before_any_work_and_replaced_on_demand() {
    let folder = Folder::with_shots(1);
    folder.write("out.parquet", b"precious");
    // The model does not exist: if it were looked for first, the message would be another.
    let assert = folder.imbed(&["embed", "shots", "--model", "./none", "-o", "out.parquet"]).assert().code(2);
    assert!(stderr(&assert).contains("the output exists"), "{}", stderr(&assert));
    assert_eq!(fs::read(folder.path("out.parquet")).unwrap(), b"precious");
    folder.imbed(&["embed", "shots", "-o", "out.parquet", "--overwrite"]).assert().code(0);
    assert_eq!(Embedded::read(&folder.path("out.parquet")).batch.num_rows(), 1);
}

#[test]
fn a_missing_folder_and_an_unknown_extension_are_refused() {
    let folder = Folder::with_shots(1);
    let assert = folder.imbed(&["embed", "shots", "-o", "no/such/out.parquet"]).assert().code(2);
    assert!(stderr(&assert).contains("mkdir -p no/such"), "{}", stderr(&assert));
    let assert = folder.imbed(&["embed", "shots", "-o", "out.xlsx"]).assert().code(2);
    assert!(stderr(&assert).contains("--format"), "{}", stderr(&assert));
    folder.imbed(&["embed", "shots", "-o", "out.data", "--format", "parquet"]).assert().code(0);
    assert_eq!(Embedded::read(&folder.path("out.data")).batch.num_rows(), 1);
}

#[test]
fn columns_are_named_as_the_user_says() {
    let folder = Folder::with_shots(1);
    let args =
        ["embed", "shots", "-o", "o.parquet", "--output-column", "v", "--errors-column=why", "--on-error", "log"];
    folder.imbed(&args).assert().code(0);
    let out = Embedded::read(&folder.path("o.parquet"));
    assert_eq!(out.columns(), ["path", "v", "why"]);
    assert_eq!(out.texts("why"), [None]);
    let assert = folder.imbed(&["embed", "o.parquet", "-o", "p.parquet", "--output-column", "v"]).assert().code(2);
    assert!(stderr(&assert).contains("there is a column 'v' already"), "{}", stderr(&assert));
}

#[test]
fn the_summary_as_json_has_its_documented_keys() {
    let folder = Folder::with_shots(2);
    let assert = folder.imbed(&["embed", "shots", "-o", "out.parquet", "--json"]).assert().code(0);
    let summary: serde_json::Value = serde_json::from_str(&stdout(&assert)).unwrap();
    for key in [
        "rows",
        "embedded",
        "nulls",
        "failed",
        "errors",
        "error_examples",
        "skipped_files",
        "seconds",
        "images_per_second",
        "stages",
        "bytes_read",
        "batches",
        "retries",
        "halvings",
        "provider",
        "model",
        "dimensions",
        "outputs",
    ] {
        assert!(summary.get(key).is_some(), "{key}");
    }
    assert_eq!(summary["embedded"], 2);
    let size = fs::metadata(folder.path("out.parquet")).unwrap().len();
    assert_eq!(summary["outputs"][0], serde_json::json!({ "path": "out.parquet", "bytes": size }));
    for stage in ["read", "decode", "preprocess", "model", "model_load", "write"] {
        assert!(summary["stages"][format!("{stage}_seconds")].is_number(), "{stage}");
    }
}

#[test]
fn dictionaries_that_differ_between_batches_reach_an_arrow_file() {
    let folder = Folder::new();
    let image = binary(&[Some(png(0)), None]);
    let category = |value: &str| {
        let t = arrow_schema::DataType::Dictionary(
            Box::new(arrow_schema::DataType::Int32),
            Box::new(arrow_schema::DataType::Utf8),
        );
        arrow_cast::cast(&texts(&[value, value]), &t).unwrap()
    };
    for (name, value) in [("a.parquet", "x"), ("b.parquet", "y")] {
        write_parquet(&folder.path(name), &batch(vec![("kind", category(value)), ("image", Arc::clone(&image))]));
    }
    folder.imbed(&["embed", "a.parquet", "b.parquet", "-o", "out.arrow"]).assert().code(0);
    let reader = arrow_ipc::reader::FileReader::try_new(File::open(folder.path("out.arrow")).unwrap(), None).unwrap();
    let kinds: Vec<String> = reader
        .map(Result::unwrap)
        .flat_map(|b| b.column(0).as_string::<i32>().iter().map(|k| k.unwrap().to_owned()).collect::<Vec<_>>())
        .collect();
    assert_eq!(kinds, ["x", "x", "y", "y"]);
    assert_eq!(image.null_count(), 1);
}
