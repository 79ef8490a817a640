//! `imbed sql`: queries in, tables and files out.

use super::{
    fixture::{Embedded, Folder, batch, binary, png, provenance, stderr, stdout, texts, write_parquet},
    s3::Server,
};

#[test]
fn a_copy_gives_the_file_that_embed_gives() {
    let folder = Folder::with_shots(5);
    let assert = folder
        .imbed(&["sql", "COPY (SELECT path, embed_image(image) AS embedding FROM images('shots')) TO 'sql.parquet'"])
        .assert()
        .code(0);
    assert!(stderr(&assert).starts_with("5 rows written in"), "{}", stderr(&assert));
    let by_sql = Embedded::read(&folder.path("sql.parquet"));
    let embedded = folder.embed(&["shots"]);
    assert_eq!(by_sql.columns(), embedded.columns());
    assert_eq!(by_sql.texts("path"), embedded.texts("path"));
    assert_eq!(by_sql.vectors(), embedded.vectors());
    assert_eq!(provenance(&by_sql), provenance(&embedded));
    assert!(provenance(&by_sql).contains_key("imbed.weights"));
}

#[test]
fn a_result_is_a_table_with_vectors_and_images_made_short() {
    let folder = Folder::with_shots(3);
    let query = "SELECT path, size, image, decode_image(image) AS pixels, embed_image(image) AS e, NULL AS nothing \
                 FROM images('shots/*.png') ORDER BY path LIMIT 2";
    let text = stdout(&folder.imbed(&["sql", query]).assert().code(0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("path") && lines[0].ends_with("nothing"), "{text}");
    assert!(lines[1].starts_with("shots/00.png") && lines[1].contains("RGB 40 x 32"), "{text}");
    assert!(
        lines[1].contains(" numbers]") && lines[1].contains(&format!("{} B", png(0).len())) || lines[1].contains(" kB"),
        "{text}"
    );
    assert!(lines[2].ends_with("NULL"), "{text}");
}

#[test]
fn a_long_result_is_cut_and_json_is_not() {
    let folder = Folder::with_shots(4);
    let query = "SELECT path FROM images('shots')";
    let assert = folder.imbed(&["sql", query, "--rows", "2"]).assert().code(0);
    assert_eq!(stdout(&assert).lines().count(), 3);
    assert!(stderr(&assert).contains("--rows"), "{}", stderr(&assert));
    let text = stdout(&folder.imbed(&["sql", "SELECT path, size FROM images('shots')", "--json"]).assert().code(0));
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[1]["path"], "shots/01.png");
    assert_eq!(rows[1]["size"], png(1).len());
}

#[test]
fn tables_are_named_by_option_or_in_quotes_and_statements_follow_each_other() {
    let folder = Folder::with_shots(4);
    folder.embed(&["shots"]);
    let near = "SELECT b.path, cosine_similarity(a.embedding, b.embedding) AS s FROM t a JOIN t b ON a.path = 'shots/02.png' \
                ORDER BY s DESC LIMIT 1";
    let text = stdout(&folder.imbed(&["sql", "--table", "t=out.parquet", near]).assert().code(0));
    assert!(text.lines().nth(1).unwrap().starts_with("shots/02.png"), "{text}");
    let pairs = "SELECT a.path, b.path, cosine_similarity(a.embedding, b.embedding) s FROM t a JOIN t b ON a.path < b.path \
                 WHERE s > -2 ORDER BY s DESC LIMIT 20";
    let text = stdout(&folder.imbed(&["sql", "--table", "t=out.parquet", pairs]).assert().code(0));
    assert_eq!(text.lines().count(), 1 + 4 * 3 / 2, "{text}");
    let two = "CREATE TABLE small AS SELECT path FROM 'out.parquet' WHERE path > 'shots/01.png'; SELECT count(*) AS n FROM small";
    let text = stdout(&folder.imbed(&["sql", two]).assert().code(0));
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["n", "2"]);
    folder.write("list.csv", b"name,shot\na,shots/00.png\nb,shots/03.png\n");
    let query = "SELECT name, embed_image(shot) AS e FROM c";
    let text = stdout(&folder.imbed(&["sql", "--table", "c=list.csv", query]).assert().code(0));
    assert!(text.lines().count() == 3 && text.contains(" numbers]"), "{text}");
    let text = stdout(&folder.imbed(&["sql", "-"]).write_stdin("SELECT 1 AS one").assert().code(0));
    assert_eq!(text, "one\n  1\n");
}

#[test]
fn a_plan_is_printed_whole() {
    let folder = Folder::with_shots(1);
    let query = "EXPLAIN FORMAT INDENT SELECT embed_image(decode_image(image)) FROM images('shots')";
    let text = stdout(&folder.imbed(&["sql", query]).assert().code(0));
    assert!(text.contains("EmbedExec: ") && text.contains("fused with [decode, 8 bits]"), "{text}");
}

#[test]
fn mistakes_are_refused_before_any_work() {
    let folder = Folder::with_shots(1);
    for (query, message) in [
        ("", "no statement"),
        (" ; ", "no statement"),
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM nowhere", "--table nowhere=FILE"),
        ("SELECT embed_img(image) FROM images('shots')", "embed_image"),
        ("SELECT embed_image(image, model => 'no/such-model') FROM images('shots')", "no/such-model"),
        ("SELECT embed_image(image, bach_size => 3) FROM images('shots')", "bach_size"),
        ("SELECT path FROM images('nowhere')", "no such file or folder"),
        ("COPY (SELECT embed_image(image, alpha => 'blue') FROM images('shots')) TO 'x.parquet'", "alpha"),
    ] {
        let assert = folder.imbed(&["sql", query]).assert().code(2);
        let text = stderr(&assert);
        assert!(text.starts_with("error: ") && text.contains(message), "{query}: {text}");
        assert!(stdout(&assert).is_empty());
    }
    let assert = folder.imbed(&["sql", "--table", "t=none.parquet", "SELECT 1"]).assert().code(2);
    assert!(stderr(&assert).contains("none.parquet"));
    assert_eq!(folder.names(), ["shots"]);
}

#[test]
fn a_row_that_fails_stops_the_query_and_leaves_no_file_unless_it_may_be_null() {
    let folder = Folder::with_shots(3);
    folder.write("shots/01.png", b"not an image");
    let copy = |options: &str| {
        format!("COPY (SELECT path, embed_image(image{options}) AS embedding FROM images('shots')) TO 'x.parquet'")
    };
    let assert = folder.imbed(&["sql", &copy("")]).assert().code(3);
    assert!(stderr(&assert).contains("shots/01.png") && stderr(&assert).contains("on_error =>"), "{}", stderr(&assert));
    let decode = "SELECT decode_image(image) FROM images('shots')";
    let assert = folder.imbed(&["sql", decode]).assert().code(3);
    assert!(
        stderr(&assert).contains("decode_image: ") && stderr(&assert).contains("on_error =>"),
        "{}",
        stderr(&assert)
    );
    assert_eq!(folder.names(), ["shots"]);
    let assert = folder.imbed(&["sql", &copy(", on_error => 'log'")]).assert().code(1);
    assert!(stderr(&assert).contains("warning: ") && stderr(&assert).contains("shots/01.png"), "{}", stderr(&assert));
    assert!(stderr(&assert).contains("3 rows written in ") && stderr(&assert).contains(", 1 row failed and null"));
    let vectors = Embedded::read(&folder.path("x.parquet")).vectors();
    assert_eq!(vectors.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn images_in_a_table_are_embedded_as_those_in_files() {
    let folder = Folder::with_shots(3);
    let files: Vec<Option<Vec<u8>>> = vec![Some(png(0)), None, Some(png(2))];
    write_parquet(&folder.path("t.parquet"), &batch(vec![("id", texts(&["a", "b", "c"])), ("image", binary(&files))]));
    let copy = "COPY (SELECT id, embed_image(image) AS embedding FROM 't.parquet') TO 'out2.parquet'";
    folder.imbed(&["sql", copy, "--quiet"]).assert().code(0).stderr("");
    let found = Embedded::read(&folder.path("out2.parquet")).vectors();
    let wanted = folder.embed(&["t.parquet", "--key", "id"]).vectors();
    assert_eq!(found, wanted);
}

#[test]
fn a_copy_that_fails_leaves_the_file_that_was_there_and_folders_get_files() {
    let folder = Folder::with_shots(3);
    folder.write("out.parquet", b"what was there");
    folder.write("shots/02.png", b"not an image");
    let copy = "COPY (SELECT path, embed_image(image) AS e FROM images('shots')) TO 'out.parquet'";
    folder.imbed(&["sql", copy]).assert().code(3);
    assert_eq!(std::fs::read(folder.path("out.parquet")).unwrap(), b"what was there");
    assert_eq!(folder.names(), ["out.parquet", "shots"]);
    folder.imbed(&["sql", "COPY (SELECT path FROM images('shots')) TO 'out.parquet'"]).assert().code(0);
    assert_eq!(Embedded::read(&folder.path("out.parquet")).texts("path").len(), 3);

    for _ in 0..2 {
        folder
            .imbed(&["sql", "COPY (SELECT path FROM images('shots')) TO 'parts/' STORED AS PARQUET"])
            .assert()
            .code(0);
    }
    let text = stdout(&folder.imbed(&["sql", "SELECT count(*) AS n FROM 'parts/'"]).assert());
    assert_eq!(text.split_whitespace().last(), Some("6"), "{text}");
    let assert = folder.imbed(&["sql", "COPY (SELECT 1 AS a) TO 'no/x.parquet'"]).assert().code(2);
    assert!(stderr(&assert).contains("mkdir -p no"), "{}", stderr(&assert));
    assert_eq!(folder.names(), ["out.parquet", "parts", "shots"]);
}

#[test]
fn a_bucket_is_read_and_written_as_files_are() {
    let folder = Folder::with_shots(0);
    let server = Server::start();
    for i in 0..4 {
        server.put("photos", &format!("shots/{i:02}.png"), png(i));
        folder.write(&format!("shots/{i:02}.png"), &png(i));
    }
    let sql = |args: &[&str]| {
        let mut command = folder.imbed(&[&["sql"], args].concat());
        command.envs(server.variables());
        command.assert()
    };
    let query = "COPY (SELECT path, embed_image(image) AS embedding FROM images('s3://photos/shots/**')) TO 's3://photos/e.parquet'";
    let assert = sql(&[query]).code(0);
    assert!(stderr(&assert).starts_with("4 rows written in"), "{}", stderr(&assert));
    folder.write("e.parquet", &server.get("photos", "e.parquet").unwrap());
    let by_sql = Embedded::read(&folder.path("e.parquet"));
    let embedded = folder.embed(&["shots"]);
    assert_eq!(by_sql.vectors(), embedded.vectors());
    assert_eq!(provenance(&by_sql), provenance(&embedded));
    server.put("photos", "shots/04.png", *b"not an image");
    server.put("photos", "old.parquet", *b"what was there");
    let failing = query.replace("e.parquet", "old.parquet");
    assert!(stderr(&sql(&[&failing]).code(3)).contains("s3://photos/shots/04.png"));
    assert_eq!(server.get("photos", "old.parquet").unwrap(), b"what was there");
    let count = "SELECT count(*) AS n FROM t";
    assert!(stdout(&sql(&["--table", "t=s3://photos/e*.parquet", count, "--json"]).code(0)).contains("\"n\":4"));
    let assert = sql(&["--table", "t=s3://photos/none.parquet", count]).code(2);
    let text = stderr(&assert);
    assert!(text.contains("--table t=s3://photos/none.parquet") && text.contains("there is no table"), "{text}");
    let assert = sql(&["SELECT path FROM images('s3://nowhere/')"]).code(3);
    assert!(stderr(&assert).contains("no such bucket") && !stderr(&assert).contains("canary"), "{}", stderr(&assert));
}

#[test]
fn a_folder_of_parts_is_one_table() {
    let folder = Folder::with_shots(5);
    folder.imbed(&["embed", "shots", "-o", "out/", "--part-rows", "2"]).assert().code(0);
    let query = "SELECT count(*) AS rows, count(embedding) AS vectors FROM t";
    let text = stdout(&folder.imbed(&["sql", "--table", "t=out", "--json", query]).assert().code(0));
    assert_eq!(text.trim(), r#"{"rows":5,"vectors":5}"#);
}

#[test]
fn a_key_in_a_query_that_is_refused_is_not_repeated() {
    let folder = Folder::with_shots(1);
    for arguments in [
        "api_key => 'sk-canary'",
        "provider => 'openai', api_key => 'sk-canary'",
        "options => '{\"api_key\": \"sk-canary\"}'",
        "options => '{\"api_key\": \"sk-canary\", broken'",
        "options => 'api_key=sk-canary'",
    ] {
        for explain in ["", "EXPLAIN "] {
            let query = format!("{explain}SELECT embed_image(image, {arguments}) FROM images('shots')");
            let assert = folder.imbed(&["sql", &query]).assert().code(2);
            let said = stdout(&assert) + &stderr(&assert);
            assert!(!said.contains("canary"), "{query}: {said}");
        }
    }
}

#[test]
fn a_parquet_file_that_asks_for_all_memory_is_an_error_however_it_is_named() {
    // Version 1, a schema of one group without columns, no rows, and a list of two billion row groups that do not come.
    let footer = b"\x15\x02\x19\x1c\x48\x04root\x15\x00\x00\x16\x00\x19\xfc\xff\xff\xff\xff\x07";
    let file = [b"PAR1", &footer[..], &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    let folder = Folder::new();
    folder.write("x.parquet", &file);
    folder.write("parts/part-000000000000.parquet", &file);
    let server = Server::start();
    server.put("b", "x.parquet", file);
    let sql = |args: &[&str]| {
        let mut command = folder.imbed(&["sql"]);
        command.envs(server.variables()).args(args);
        let said = stderr(&command.assert().code(2));
        assert!(
            said.contains("x.parquet: the Parquet file is damaged") || said.contains("0.parquet: "),
            "{args:?}: {said}"
        );
        assert!(said.contains("2147483647 row groups"), "{args:?}: {said}");
    };
    sql(&["SELECT * FROM 'x.parquet'"]);
    sql(&["SELECT * FROM t", "--table", "t=x.parquet"]);
    sql(&["SELECT * FROM t", "--table", "t=parts"]);
    sql(&["CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'x.parquet'"]);
    sql(&["SELECT * FROM 's3://b/x.parquet'"]);
    sql(&["CREATE EXTERNAL TABLE t (a INT) STORED AS PARQUET LOCATION 'x.parquet'; SELECT a FROM t"]);
    folder.write("longer.parquet", b"\xff\xff\xff\xffPAR1");
    let said = stderr(&folder.imbed(&["sql", "SELECT * FROM 'longer.parquet'"]).assert().code(2));
    assert!(said.contains("longer.parquet: the Parquet file is damaged: its footer is said to have"), "{said}");
}

#[test]
fn a_reader_that_panics_on_a_table_is_an_error_of_the_query() {
    // A schema of a group with one required number, and a row group of one row whose column has -4 bytes.
    let schema = b"\x15\x02\x19\x2c\x48\x04root\x15\x02\0\x15\x02\x25\0\x18\x01a\0\x16\x02";
    let column = b"\x26\x08\x1c\x15\x02\x19\x15\0\x19\x18\x01a\x15\0\x16\x02\x16\x08\x16\x07\x26\x08\0\0";
    let footer = [&schema[..], b"\x19\x1c\x19\x1c", column, b"\x16\x08\x16\x02\0\0"].concat();
    let folder = Folder::new();
    let file = [b"PAR1", &footer[..], &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    folder.write("x.parquet", &file);
    let said = stderr(&folder.imbed(&["sql", "SELECT * FROM 'x.parquet'"]).assert().code(3));
    assert!(said.contains("error: the query panicked: ") && said.contains("imbed inspect"), "{said}");
}
