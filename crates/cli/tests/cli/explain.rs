//! `--explain`: the plan and its reasons, and nothing done.

use crate::fixture::{Folder, stdout};

#[test]
fn the_plan_says_what_why_and_from_where_and_writes_nothing() {
    let folder = Folder::with_shots(2);
    folder.write("shots/notes.txt", b"");
    let assert =
        folder.imbed(&["embed", "shots", "--explain", "--batch-size", "7", "-o", "out.parquet"]).assert().code(0);
    let text = stdout(&assert);
    for part in
        ["shots: 2 image files", "1 .txt", "out.parquet (Parquet", "the default", "batch size", "7", "asked for", "cpu"]
    {
        assert!(text.contains(part), "{part} in: {text}");
    }
    assert_eq!(folder.names(), ["shots"]);
    folder.imbed(&["embed", "shots", "--explain"]).assert().code(0);
}

#[test]
fn tables_show_the_column_that_was_chosen() {
    let folder = Folder::new();
    folder.write("t.csv", b"id,image_path\n1,a.png\n");
    let text = stdout(&folder.imbed(&["embed", "t.csv", "--explain"]).assert().code(0));
    assert!(text.contains("t.csv: CSV, 1 row, images from column 'image_path'"), "{text}");
    assert!(text.contains("id, image_path"), "{text}");
}
