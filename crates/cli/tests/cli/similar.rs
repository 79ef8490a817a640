//! `imbed similar`.

use crate::fixture::{Folder, png, stderr, stdout};

fn neighbours(folder: &Folder, args: &[&str]) -> serde_json::Value {
    let args: Vec<&str> = ["similar", "out.parquet"].iter().chain(args).chain(&["--json"]).copied().collect();
    serde_json::from_str(&stdout(&folder.imbed(&args).assert().code(0))).unwrap()
}

/// Five images, the last one the same as the second.
fn with_a_twin() -> Folder {
    let folder = Folder::with_shots(4);
    folder.write("shots/twin.png", &png(1));
    folder.imbed(&["embed", "shots", "-o", "out.parquet"]).assert().code(0);
    folder
}

#[test]
fn the_twin_of_an_image_is_its_nearest_however_it_is_named() {
    let folder = with_a_twin();
    for query in [["--to", "shots/01.png"], ["--to", "01.png"], ["--row", "1"]] {
        let found = neighbours(&folder, &query);
        assert_eq!(found["query"]["row"], 1, "{query:?}");
        let first = &found["neighbours"][0];
        assert_eq!((&first["rank"], &first["key"]), (&1.into(), &"shots/twin.png".into()), "{query:?}");
        assert!((first["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-6);
        let rows: Vec<u64> =
            found["neighbours"].as_array().unwrap().iter().map(|n| n["row"].as_u64().unwrap()).collect();
        assert_eq!(rows.len(), 4, "all but the query itself");
        assert!(!rows.contains(&1));
    }
    assert_eq!(neighbours(&folder, &["--row", "1", "--top", "2"])["neighbours"].as_array().unwrap().len(), 2);
    let text = stdout(&folder.imbed(&["similar", "out.parquet", "--to", "01.png", "--top", "1"]).assert().code(0));
    assert!(text.contains("nearest to row 1  shots/01.png") && text.contains("1.0000"), "{text}");
}

#[test]
fn an_image_outside_the_table_is_embedded_with_the_columns_model() {
    let folder = with_a_twin();
    folder.write("elsewhere/new.png", &png(2));
    let found = neighbours(&folder, &["--to", "elsewhere/new.png"]);
    assert_eq!(found["query"]["image"], "elsewhere/new.png");
    let first = &found["neighbours"][0];
    assert_eq!(first["key"], "shots/02.png");
    assert!((first["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5);
}

#[test]
fn queries_that_mean_nothing_say_what_would() {
    let folder = with_a_twin();
    folder.write("more/01.png", &png(1));
    folder.imbed(&["embed", "shots", "more", "-o", "two.parquet"]).assert().code(0);
    for (file, query, part) in [
        ("out.parquet", ["--to", "nowhere.png"], "neither a key of out.parquet nor a file"),
        ("out.parquet", ["--row", "99"], "the table has 5"),
        ("two.parquet", ["--to", "01.png"], "the end of several keys"),
    ] {
        let assert = folder.imbed(&["similar", file, query[0], query[1]]).assert().code(2);
        assert!(stderr(&assert).contains(part), "{}", stderr(&assert));
    }
    folder.write("t.csv", b"path\na.png\n");
    let assert = folder.imbed(&["similar", "t.csv", "--row", "0"]).assert().code(2);
    assert!(stderr(&assert).contains("no column of vectors"), "{}", stderr(&assert));
}

#[test]
fn rows_without_a_vector_are_no_query_and_no_neighbour() {
    let folder = Folder::with_shots(2);
    folder.write("list.txt", b"shots/00.png\nnone.png\nshots/01.png\n");
    folder.imbed(&["embed", "list.txt", "-o", "out.parquet", "--on-error", "ignore"]).assert().code(1);
    assert_eq!(neighbours(&folder, &["--row", "0"])["neighbours"].as_array().unwrap().len(), 1);
    let assert = folder.imbed(&["similar", "out.parquet", "--to", "none.png"]).assert().code(2);
    assert!(stderr(&assert).contains("row 1 has no vector"), "{}", stderr(&assert));
}
