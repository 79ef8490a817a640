//! Rows that fail, runs that fail, and what is said about it.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};

use crate::fixture::{Embedded, Folder, batch, binary, jpeg, png, stderr, texts, write_parquet};

/// Six rows: a photo, none, nothing, text, half a JPEG, a photo.
fn table_with_bad_rows(folder: &Folder) {
    let whole = jpeg(3);
    let images = [
        Some(png(0)),
        None,
        Some(Vec::new()),
        Some(b"I am no image.".to_vec()),
        Some(whole[..whole.len() / 2].to_vec()),
        Some(png(1)),
    ];
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(100..106));
    write_parquet(&folder.path("bad.parquet"), &batch(vec![("id", ids), ("image", binary(&images))]));
    write_parquet(&folder.path("good.parquet"), &batch(vec![("image", binary(&[Some(png(0)), Some(png(1))]))]));
}

#[test]
fn bad_rows_are_null_with_a_reason_and_their_neighbours_are_untouched() {
    let folder = Folder::new();
    table_with_bad_rows(&folder);
    let good = folder.embed(&["good.parquet"]).vectors();
    let out = folder.embed_with_code(&["bad.parquet", "--on-error", "ignore", "--errors-column"], 1);
    assert_eq!(out.columns(), ["id", "embedding", "error"]);
    let vectors = out.vectors();
    assert_eq!([&vectors[0], &vectors[5]], [&good[0], &good[1]], "bit for bit");
    let reasons = out.texts("error");
    assert!(vectors[1..5].iter().all(Option::is_none));
    for row in [0, 5] {
        assert_eq!(reasons[row], None, "row {row}: nothing is wrong with an image that has a vector");
    }
    assert_eq!(reasons[1].as_deref(), Some("null: the input has no image in this row"));
    for (row, reason) in reasons.iter().enumerate().take(5).skip(2) {
        assert!(reason.as_deref().is_some_and(|r| r.contains(": ")), "row {row}: {reason:?}");
    }
}

#[test]
fn the_same_bad_files_in_a_folder_are_named_and_counted() {
    let folder = Folder::with_shots(2);
    let whole = jpeg(3);
    folder.write("shots/empty.png", b"");
    folder.write("shots/text.jpg", b"I am no image.");
    folder.write("shots/truncated.jpg", &whole[..whole.len() / 2]);
    let args = ["embed", "shots", "-o", "out.parquet", "--on-error", "log"];
    let assert = folder.imbed(&args).assert().code(1);
    let message = stderr(&assert);
    for name in ["empty.png", "text.jpg", "truncated.jpg"] {
        let line = message.lines().find(|l| l.starts_with("warning:") && l.contains(name));
        assert!(line.is_some(), "{name} in: {message}");
    }
    assert!(message.contains("3 rows, null in the output"), "{message}");
    assert_eq!(Embedded::read(&folder.path("out.parquet")).batch.num_rows(), 5);
}

#[test]
fn raise_names_the_row_and_the_file_and_leaves_no_output() {
    let folder = Folder::with_shots(2);
    folder.write("shots/01.png", b"I am no image.");
    let before = folder.names();
    let assert = folder.imbed(&["embed", "shots", "-o", "out.parquet"]).assert().code(3);
    let message = stderr(&assert);
    assert!(message.contains("error:") && message.contains("row 1") && message.contains("shots/01.png"), "{message}");
    assert!(message.contains("--on-error"), "{message}");
    assert_eq!(folder.names(), before, "nothing remains");
}

#[test]
fn the_key_names_rows_in_messages() {
    let folder = Folder::new();
    table_with_bad_rows(&folder);
    let assert = folder.imbed(&["embed", "bad.parquet", "--key", "id", "-o", "out.parquet"]).assert().code(3);
    assert!(stderr(&assert).contains("102"), "{}", stderr(&assert));
    write_parquet(
        &folder.path("also.parquet"),
        &batch(vec![
            ("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
            ("image", binary(&[Some(b"x".to_vec())])),
        ]),
    );
    let assert = folder.imbed(&["embed", "also.parquet", "bad.parquet", "-o", "out.parquet"]).assert().code(3);
    assert!(stderr(&assert).contains("also.parquet, row 0"), "{}", stderr(&assert));
}

#[test]
fn a_column_of_paths_beside_the_bytes_names_rows_in_messages() {
    let folder = Folder::new();
    let table = batch(vec![("path", texts(&["trip/beach.jpg"])), ("image", binary(&[Some(b"x".to_vec())]))]);
    write_parquet(&folder.path("t.parquet"), &table);
    let assert = folder.imbed(&["embed", "t.parquet", "-o", "out.parquet"]).assert().code(3);
    assert!(stderr(&assert).contains("row 0 (trip/beach.jpg)"), "{}", stderr(&assert));
}

#[test]
fn a_missing_file_of_a_list_is_a_row_that_fails() {
    let folder = Folder::with_shots(1);
    folder.write("list.txt", b"shots/00.png\nshots/none.png\n");
    let out = folder.embed_with_code(&["list.txt", "--on-error", "ignore", "--errors-column"], 1);
    assert!(out.texts("error")[1].as_deref().unwrap().starts_with("io: "), "{:?}", out.texts("error"));
}

#[test]
fn wrong_usage_is_refused_with_exit_code_2_and_a_next_step() {
    let folder = Folder::with_shots(1);
    for (args, part) in [
        (vec!["shots", "--batch-size", "0"], "batch_size"),
        (vec!["shots", "--on-error", "explode"], "raise | log | ignore"),
        (vec!["shots", "--option", "bach_size=3"], "did you mean 'batch_size'?"),
        (vec!["shots", "--option", "nonsense"], "NAME=VALUE"),
        (vec!["shots", "--provider", "nobody"], "imbed providers"),
        (vec!["shots", "--model", "./none"], "none"),
        (vec!["nowhere"], "there is no such file or folder"),
        (vec!["'*.gif"], "matches no file"),
        (vec!["s3://bucket/photos/**"], "FROM images('s3://bucket/photos/**')"),
        (vec!["https://host/x.parquet"], "imbed sql"),
        (vec!["shots", "--column", "image"], "--column"),
        (vec!["shots", "--key", "id"], "there is no column 'id'"),
        (vec!["shots", "--errors-column"], "--on-error log"),
        (vec!["shots", "--config", "none.toml"], "no such configuration file"),
        (vec!["shots", "--device", "gpu"], "device"),
        (vec!["shots", "--max-bytes", "much"], "not a size"),
    ] {
        let args: Vec<&str> = ["embed"].into_iter().chain(args).chain(["-o", "out.parquet"]).collect();
        let assert = folder.imbed(&args).assert().code(2);
        let message = stderr(&assert);
        assert!(message.contains("error:") && message.contains(part), "{args:?}: {message}");
        assert_eq!(folder.names(), ["shots"], "{args:?}");
    }
    folder.imbed(&["embed", "shots"]).assert().code(2);
    folder.imbed(&["similar", "x.parquet"]).assert().code(2);
}

#[test]
fn limits_make_rows_fail_and_name_the_option() {
    let folder = Folder::with_shots(1);
    for (option, value) in [("--max-pixels", "100"), ("--max-side", "10"), ("--max-bytes", "20")] {
        let assert = folder.imbed(&["embed", "shots", "-o", "out.parquet", option, value]).assert().code(3);
        assert!(stderr(&assert).contains(option), "{}", stderr(&assert));
    }
}

#[test]
fn a_truncated_image_is_taken_where_the_user_allows_it() {
    let folder = Folder::new();
    let whole = jpeg(3);
    folder.write("t.jpg", &whole[..whole.len() * 3 / 4]);
    folder.imbed(&["embed", "t.jpg", "-o", "out.parquet"]).assert().code(3);
    assert!(folder.embed(&["t.jpg", "--allow-truncated"]).vectors()[0].is_some());
}

#[test]
fn only_the_default_choice_is_announced() {
    let folder = Folder::with_shots(1);
    let assert = folder.imbed(&["embed", "shots", "-o", "a.parquet"]).assert().code(0);
    let first = stderr(&assert).lines().next().unwrap_or_default().to_owned();
    assert!(first.starts_with("using the built-in model ") && first.contains("--model"), "{first}");
    let model = first.split_whitespace().nth(4).unwrap().trim_end_matches(';').to_owned();
    let assert = folder.imbed(&["embed", "shots", "-o", "b.parquet", "--model", &model]).assert().code(0);
    assert!(!stderr(&assert).contains("using the built-in model"), "{}", stderr(&assert));
    let assert = folder.imbed(&["embed", "shots", "-o", "c.parquet", "--quiet"]).assert().code(0);
    assert_eq!(stderr(&assert), "");
}

#[test]
fn options_come_from_the_configuration_file_and_flags_win() {
    let folder = Folder::with_shots(1);
    folder.write("list.txt", b"shots/00.png\nnone.png\n");
    folder.write("imbed.toml", b"[options]\non_error = 'ignore'\n");
    folder.embed_with_code(&["list.txt"], 1);
    folder.imbed(&["embed", "list.txt", "-o", "x.parquet", "--on-error", "raise"]).assert().code(3);
    folder.write("other.toml", b"[options]\non_error = 'raise'\n");
    folder.imbed(&["embed", "list.txt", "-o", "x.parquet", "--config", "other.toml"]).assert().code(3);
}

#[test]
fn providers_and_models_are_listed() {
    let folder = Folder::new();
    let text = crate::fixture::stdout(&folder.imbed(&["providers"]).assert().code(0));
    assert!(text.contains("(the default)"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&crate::fixture::stdout(&folder.imbed(&["providers", "--json"]).assert().code(0)))
            .unwrap();
    assert_eq!(json.as_array().unwrap().iter().filter(|p| p["default"] == true).count(), 1);
    let name = json[0]["name"].as_str().unwrap();
    let models = crate::fixture::stdout(&folder.imbed(&["models", "--provider", name, "--json"]).assert().code(0));
    let models: serde_json::Value = serde_json::from_str(&models).unwrap();
    assert!(models[0]["models"].as_array().unwrap().iter().any(|m| m["builtin"] == true), "{models}");
    folder.imbed(&["models", "--provider", "nobody"]).assert().code(2);
    folder.imbed(&["--version"]).assert().code(0);
    let help = crate::fixture::stdout(&folder.imbed(&["embed", "--help"]).assert().code(0));
    for part in ["Examples:", "Exit codes:", "Rows that fail:", "Resources:", "--errors-column"] {
        assert!(help.contains(part), "{part}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind_even_while_the_input_is_silent() {
    use std::{
        io::Write,
        process::{Command, Stdio},
        time::Duration,
    };

    let folder = Folder::with_shots(1);
    let mut imbed = Command::new(assert_cmd::cargo::cargo_bin("imbed"))
        .args(["embed", "-", "-o", "out.arrow"])
        .current_dir(folder.path("."))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = imbed.stdin.take().unwrap();
    input.write_all(b"shots/00.png\n").unwrap();
    while !folder.names().iter().any(|name| name.ends_with(".partial")) {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &imbed.id().to_string()]).status().unwrap().success());
    let output = imbed.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(folder.names(), ["shots"]);
    drop(input);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::{Command, Stdio};

    let folder = Folder::with_shots(3);
    let mut imbed = Command::new(assert_cmd::cargo::cargo_bin("imbed"))
        .args(["embed", "shots", "-o", "-", "--quiet"])
        .current_dir(folder.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(imbed.stdout.take());
    let output = imbed.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(not(feature = "sql"))]
#[test]
fn a_program_without_sql_says_how_to_get_it() {
    let assert = Folder::new().imbed(&["sql", "SELECT 1"]).assert().code(2);
    assert!(stderr(&assert).contains("--features sql"), "{}", stderr(&assert));
}

#[test]
fn a_level_that_no_processor_has_is_refused_before_any_work() {
    let folder = Folder::with_shots(1);
    let assert = folder.imbed(&["embed", "shots", "-o", "x.parquet"]).env("IMBED_CPU", "sse9").assert().code(2);
    let message = stderr(&assert);
    assert!(message.contains("sse9") && message.contains("unset IMBED_CPU"), "{message}");
}
