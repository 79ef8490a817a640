//! `imbed inspect`.

use crate::fixture::{Folder, stderr, stdout};

fn inspected(folder: &Folder, args: &[&str]) -> serde_json::Value {
    let args: Vec<&str> = ["inspect"].iter().chain(args).chain(&["--json"]).copied().collect();
    serde_json::from_str(&stdout(&folder.imbed(&args).assert().code(0))).unwrap()
}

#[test]
fn a_table_shows_schema_provenance_norms_nulls_and_shapes() {
    let folder = Folder::with_shots(3);
    folder.write("list.txt", b"shots/00.png\nnone.png\nshots/01.png\nshots/02.png\n");
    folder.imbed(&["embed", "list.txt", "-o", "out.parquet", "--on-error", "ignore", "--normalize"]).assert().code(1);
    let text = stdout(&folder.imbed(&["inspect", "out.parquet", "--rows", "3"]).assert().code(0));
    for part in [
        "4 rows",
        "path",
        "embedding",
        "provider",
        "model",
        "blake3:",
        "normalized  yes",
        "null        1 row",
        "1.0000",
        "shots/00.png",
        "▁",
        "█",
    ] {
        assert!(text.contains(part), "{part} in: {text}");
    }
    assert!(!text.contains("shots/02.png"), "three rows only: {text}");
    let json = inspected(&folder, &["out.parquet"]);
    assert_eq!(json["rows"], 4);
    assert_eq!(json["embedding"]["nulls"], 1);
    assert_eq!(json["embedding"]["not_finite"], 0);
    assert!((json["embedding"]["norms"]["mean"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(json["embedding"]["first"][1]["vector"], serde_json::Value::Null);
}

#[test]
fn every_output_format_can_be_inspected() {
    let folder = Folder::with_shots(2);
    folder.imbed(&["embed", "shots", "-o", "out.parquet"]).assert().code(0);
    let expected = inspected(&folder, &["out.parquet"]);
    for name in ["out.arrow", "out.jsonl", "out.npy"] {
        folder.imbed(&["embed", "shots", "-o", name]).assert().code(0);
        let json = inspected(&folder, &[name]);
        assert_eq!(json["rows"], 2, "{name}");
        assert_eq!(json["embedding"]["dimensions"], expected["embedding"]["dimensions"], "{name}");
        let norm = |json: &serde_json::Value| json["embedding"]["norms"]["max"].as_f64().unwrap();
        assert!((norm(&json) - norm(&expected)).abs() < 1e-6, "{name}");
    }
}

#[test]
fn a_table_without_vectors_is_shown_without_them() {
    let folder = Folder::new();
    folder.write("t.csv", b"id,path\n1,a.png\n");
    let text = stdout(&folder.imbed(&["inspect", "t.csv"]).assert().code(0));
    assert!(text.contains("no column of vectors"), "{text}");
    let assert = folder.imbed(&["inspect", "t.csv", "--column", "path"]).assert().code(2);
    assert!(stderr(&assert).contains("holds no vectors"), "{}", stderr(&assert));
    folder.imbed(&["inspect", "none.parquet"]).assert().code(2);
    folder.write("broken.parquet", b"not parquet");
    folder.imbed(&["inspect", "broken.parquet"]).assert().code(2);
}

#[test]
fn two_files_are_comparable_or_it_says_why_not() {
    let folder = Folder::with_shots(2);
    let embed = |out: &str, more: &[&str]| {
        let args: Vec<&str> = ["embed", "shots", "-o", out].iter().chain(more).copied().collect();
        folder.imbed(&args).assert().code(0);
    };
    embed("plain.parquet", &[]);
    embed("again.arrow", &["--batch-size", "1"]);
    embed("white.parquet", &["--alpha", "white"]);
    embed("short.parquet", &["--dimensions", "64"]);
    embed("lines.jsonl", &[]);
    let same = stdout(&folder.imbed(&["inspect", "plain.parquet", "again.arrow"]).assert().code(0));
    assert!(same.contains("comparable  yes"), "{same}");
    for (other, why) in [
        ("white.parquet", "alpha is the default and white"),
        ("short.parquet", "256 and 64 numbers"),
        ("lines.jsonl", "not recorded"),
    ] {
        let no = stdout(&folder.imbed(&["inspect", "plain.parquet", other]).assert().code(1));
        assert!(no.contains("comparable  no") && no.contains(why), "{no}");
    }
    let assert = folder.imbed(&["inspect", "plain.parquet", "white.parquet", "--json"]).assert().code(1);
    let json: serde_json::Value = serde_json::from_str(&stdout(&assert)).unwrap();
    assert_eq!(json["comparable"], false);
    assert_eq!(json["files"][1]["provenance"]["options"]["alpha"], "white");
}
