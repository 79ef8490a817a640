//! Runs that die, are stopped or find another input, and those that go on with what is there.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use arrow_array::{ArrayRef, Int64Array};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::metadata::RowGroupMetaData};
use serde_json::Value;

use crate::fixture::{Embedded, Folder, batch, binary, png, stderr, stdout, write_parquet};

/// A row of an output: its key, and the bits of its vector.
pub(crate) type Row = (Option<String>, Option<Vec<u32>>);

pub(crate) fn rows_of(embedded: &Embedded) -> Vec<Row> {
    let bits = |vector: Option<Vec<f32>>| vector.map(|v| v.into_iter().map(f32::to_bits).collect());
    embedded.texts("path").into_iter().zip(embedded.vectors().into_iter().map(bits)).collect()
}

/// All rows of an output: of a file, or of the parts in a folder in the order of their names.
fn rows(folder: &Folder, output: &str) -> Vec<Row> {
    let path = folder.path(output);
    if path.is_file() {
        return rows_of(&Embedded::read(&path));
    }
    parts(folder, output).iter().flat_map(|name| rows_of(&Embedded::read(&path.join(name)))).collect()
}

/// The names of the parts in a folder, sorted.
fn parts(folder: &Folder, output: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.path(output)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".parquet")).collect();
    names.sort();
    names
}

/// What an undisturbed run gives.
pub(crate) fn undisturbed(folder: &Folder, args: &[&str]) -> Vec<Row> {
    let args = [&["embed"], args, &["-o", "undisturbed.parquet", "--overwrite", "--quiet"]].concat();
    let code = folder.imbed(&args).assert().get_output().status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    rows(folder, "undisturbed.parquet")
}

/// The summary of a run that must end well.
fn summary(folder: &Folder, args: &[&str]) -> Value {
    let args = [&["embed"], args, &["--json"]].concat();
    let assert = folder.imbed(&args).assert();
    let output = assert.get_output();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn spawn(folder: &Folder, args: &[&str]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("imbed"));
    command.arg("embed").args(args).current_dir(folder.path(".")).env("HF_HUB_OFFLINE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `done`, at most a minute.
fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came");
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// A run over 40 images whose last rows cannot come: it waits for them, and has 4 parts by now.
fn waiting_run(folder: &Folder, output: &str) -> (Child, std::process::ChildStdin) {
    use std::io::Write;
    let mut child = spawn(folder, &["-", "-o", output, "--part-rows", "8", "--batch-size", "8", "--resume"]);
    let mut input = child.stdin.take().unwrap();
    let list = (0..36).map(|i| format!("shots/{i:02}.png\n")).collect::<Vec<_>>().concat();
    input.write_all(list.as_bytes()).unwrap();
    let place = if output.ends_with('/') { output.to_owned() } else { format!("{output}.parts") };
    wait_until(|| parts(folder, &place).len() == 4);
    (child, input)
}

#[test]
fn runs_that_are_killed_go_on_until_the_output_is_that_of_an_undisturbed_run() {
    let folder = Folder::with_shots(90);
    folder.write("shots/17.png", b"I am no image.");
    let common = ["shots", "--on-error", "ignore", "--part-rows", "6", "--quiet"];
    let expected = undisturbed(&folder, &common[..5]);
    assert_eq!(expected.len(), 90);
    let mut random = fastrand::Rng::with_seed(7);
    for output in ["out.parquet", "out/"] {
        let mut kills = 0;
        loop {
            let mut child = spawn(&folder, &[&common[..], &["-o", output, "--resume"]].concat());
            std::thread::sleep(Duration::from_millis(random.u64(20..400)));
            if kills == 8 {
                child.wait().unwrap();
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        let last = summary(&folder, &[&common[..5], &["-o", output, "--resume"]].concat());
        assert_eq!((&last["rows"], &last["resumed"], &last["failed"]), (&90.into(), &90.into(), &1.into()), "{last}");
        assert_eq!(rows(&folder, output), expected, "{output}");
    }
    assert_eq!(folder.names(), ["out", "out.parquet", "shots", "undisturbed.parquet"], "nothing else is left");
    let manifest: Value = serde_json::from_slice(&fs::read(folder.path("out/_imbed.json")).unwrap()).unwrap();
    assert_eq!((&manifest["complete"], &manifest["rows"]), (&true.into(), &90.into()));
    let listed: Vec<&str> = manifest["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(listed, parts(&folder, "out"));
    let text = stdout(&folder.imbed(&["inspect", "out", "--json"]).assert().code(0));
    let table: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&table["rows"], &table["embedding"]["nulls"]), (&90.into(), &1.into()), "a folder is one table");
    let near = ["similar", "out", "--to", "shots/03.png", "--top", "1", "--json"];
    folder.imbed(&near).assert().code(0);
}

#[test]
fn an_interrupt_keeps_what_is_done_and_says_how_to_go_on() {
    let folder = Folder::with_shots(40);
    let expected = undisturbed(&folder, &["shots"]);
    for output in ["out.parquet", "out/"] {
        let (child, input) = waiting_run(&folder, output);
        interrupt(&child);
        let ended = child.wait_with_output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{message}");
        assert!(message.contains("stopping: rows that are under way are finished and kept"), "{message}");
        assert!(message.contains("stopped; 36 rows are kept in out"), "{message}");
        assert!(
            message.contains(&format!("imbed embed - -o {output} --part-rows 8 --batch-size 8 --resume")),
            "{message}"
        );
        drop(input);
        let list = (0..40).map(|i| format!("shots/{i:02}.png\n")).collect::<Vec<_>>().concat();
        let mut again = folder.imbed(&["embed", "-", "-o", output, "--part-rows", "8", "--resume", "--json"]);
        let assert = again.write_stdin(list).assert().code(0);
        let summary: Value = serde_json::from_str(&stdout(&assert)).unwrap();
        assert_eq!((&summary["rows"], &summary["resumed"]), (&40.into(), &36.into()));
        assert_eq!(rows(&folder, output), expected, "{output}");
    }
}

#[test]
fn a_second_interrupt_stops_at_once_and_leaves_the_parts() {
    let folder = Folder::with_shots(40);
    let (mut child, input) = waiting_run(&folder, "out/");
    // Whichever of the two comes to be the last: nothing half written may stay.
    interrupt(&child);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    let names: Vec<String> =
        fs::read_dir(folder.path("out")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
    assert!(parts(&folder, "out").len() >= 4);
}

#[test]
fn an_interrupt_before_anything_is_done_leaves_nothing() {
    let folder = Folder::with_shots(1);
    for output in ["out.parquet", "out/"] {
        let mut child = spawn(&folder, &["-", "-o", output]);
        let input = child.stdin.take();
        wait_until(|| folder.names().len() > 1);
        std::thread::sleep(Duration::from_millis(300));
        interrupt(&child);
        let ended = child.wait_with_output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{message}");
        assert!(message.contains("nothing was written"), "{message}");
        assert_eq!(folder.names(), ["shots"]);
        drop(input);
    }
}

#[test]
fn a_run_that_did_not_end_is_refused_unless_the_user_says_what_to_do_with_it() {
    let folder = Folder::with_shots(40);
    for output in ["out.parquet", "out/"] {
        let (mut child, input) = waiting_run(&folder, output);
        let assert = folder.imbed(&["embed", "shots", "-o", output, "--resume"]).assert().code(2);
        assert!(stderr(&assert).contains("another imbed is writing there"), "{}", stderr(&assert));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(input);
        let assert = folder.imbed(&["embed", "shots", "-o", output]).assert().code(2);
        let message = stderr(&assert);
        assert!(message.contains("did not end") && message.contains("--resume"), "{message}");
        assert!(message.contains("--overwrite"), "{message}");
        folder.imbed(&["embed", "shots", "-o", output, "--resume", "--overwrite"]).assert().code(2);
        let started_again = summary(&folder, &["shots", "-o", output, "--overwrite"]);
        assert_eq!((&started_again["rows"], &started_again["resumed"]), (&40.into(), &0.into()));
        assert_eq!(rows(&folder, output), undisturbed(&folder, &["shots"]));
        let assert = folder.imbed(&["embed", "shots", "-o", output]).assert().code(2);
        assert!(stderr(&assert).contains("the output exists"), "{}", stderr(&assert));
    }
    assert_eq!(folder.names(), ["out", "out.parquet", "shots", "undisturbed.parquet"]);
}

#[test]
fn only_what_is_new_or_changed_is_embedded() {
    let folder = Folder::with_shots(40);
    for output in ["out.parquet", "out/"] {
        let args = ["shots", "-o", output, "--part-rows", "8", "--resume"];
        let first = summary(&folder, &args);
        assert_eq!((&first["rows"], &first["resumed"], &first["parts"]), (&40.into(), &0.into(), &5.into()));
        let again = summary(&folder, &args);
        assert_eq!((&again["resumed"], &again["batches"]), (&40.into(), &0.into()));
        assert_eq!(again["stages"]["model_load_seconds"], 0.0, "the model is not even loaded");

        folder.write("shots/20.png", &png(77));
        let changed = summary(&folder, &args);
        assert_eq!((&changed["rows"], &changed["resumed"]), (&40.into(), &32.into()));
        assert_eq!(rows(&folder, output), undisturbed(&folder, &["shots"]));

        folder.write("shots/00a.png", &png(78));
        folder.write("shots/99.png", &png(79));
        let added = summary(&folder, &args);
        assert_eq!((&added["rows"], &added["resumed"]), (&42.into(), &32.into()));
        assert_eq!(rows(&folder, output), undisturbed(&folder, &["shots"]));

        fs::remove_file(folder.path("shots/00a.png")).unwrap();
        fs::remove_file(folder.path("shots/99.png")).unwrap();
        let removed = summary(&folder, &args);
        assert_eq!(removed["rows"], 40);
        assert!(removed["resumed"].as_u64().unwrap() >= 32, "{removed}");
        assert_eq!(rows(&folder, output), undisturbed(&folder, &["shots"]));

        let fewer = summary(&folder, &[&args[..], &["--limit", "16"]].concat());
        assert_eq!(fewer["rows"], 16);
        assert_eq!(rows(&folder, output), undisturbed(&folder, &["shots", "--limit", "16"]));
        folder.write("shots/20.png", &png(20));
    }
}

#[test]
fn another_model_option_or_input_is_refused_and_says_why() {
    let folder = Folder::with_shots(20);
    folder.write("more/x.png", &png(50));
    for output in ["out.parquet", "out/"] {
        folder.imbed(&["embed", "shots", "-o", output]).assert().code(0);
        let before = rows(&folder, output);
        for (args, part) in [
            (vec!["shots", "--normalize"], "vectors.options.normalize: not set there, true here"),
            (vec!["shots", "--alpha", "white"], "vectors.options.alpha: not set there, white here"),
            (vec!["shots", "--max-pixels", "1000000"], "vectors.decode"),
            (vec!["shots", "--errors-column", "--on-error", "log"], "errors_column: not set there, error here"),
            (vec!["shots", "more"], "inputs.1: not set there, more here"),
            (vec!["shots", "--output-column", "v"], "output_column: embedding there, v here"),
        ] {
            let args = [&["embed"], &args[..], &["-o", output, "--resume"]].concat();
            let assert = folder.imbed(&args).assert().code(2);
            let message = stderr(&assert);
            assert!(message.contains("was made otherwise") && message.contains(part), "{args:?}: {message}");
            assert!(message.contains("--overwrite"), "{message}");
        }
        assert_eq!(rows(&folder, output), before);
        let others = ["shots", "-o", output, "--resume", "--batch-size", "3", "--threads", "1", "--on-error", "log"];
        assert_eq!(summary(&folder, &others)["resumed"], 20, "what changes no vector may change");
    }
    let auto = ["embed", "shots", "-o", "auto/", "--dtype", "auto"];
    let assert = folder.imbed(&auto).assert().code(2);
    assert!(stderr(&assert).contains("--dtype f32"), "{}", stderr(&assert));
    folder.imbed(&["embed", "shots", "-o", "auto.parquet", "--dtype", "auto"]).assert().code(0);
}

#[test]
fn a_disk_that_is_full_costs_nothing_that_is_done() {
    let folder = Folder::with_shots(40);
    let expected = undisturbed(&folder, &["shots"]);
    let size = fs::metadata(folder.path("undisturbed.parquet")).unwrap().len();
    // Three quarters of it: parts fit, the whole does not.
    let script =
        format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" embed shots -o out.parquet --part-rows 8", size * 3 / 4 / 512);
    let program = assert_cmd::cargo::cargo_bin("imbed");
    let full = Command::new("sh").args(["-c", &script]).arg(&program).current_dir(folder.path(".")).output().unwrap();
    let message = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(3), "{message}");
    assert!(message.contains("40 rows are kept in out.parquet.parts"), "{message}");
    assert!(message.contains("--resume"), "{message}");
    assert!(!folder.path("out.parquet").exists());
    let summary = summary(&folder, &["shots", "-o", "out.parquet", "--part-rows", "8", "--resume"]);
    assert_eq!((&summary["rows"], &summary["resumed"]), (&40.into(), &40.into()));
    assert_eq!(rows(&folder, "out.parquet"), expected);
}

#[test]
fn files_that_are_no_parts_are_named_and_never_counted() {
    let folder = Folder::with_shots(40);
    let args = ["shots", "-o", "out/", "--part-rows", "8", "--resume"];
    summary(&folder, &args);
    let part = |i: usize| folder.path("out").join(format!("part-{:012}.parquet", i * 8));
    let whole = fs::read(part(1)).unwrap();
    fs::write(part(1), &whole[..whole.len() / 2]).unwrap();
    fs::copy(folder.path("out").join("part-000000000000.parquet"), folder.path("copy.parquet")).unwrap();
    folder.imbed(&["embed", "shots", "-o", "other/", "--normalize"]).assert().code(0);
    fs::copy(folder.path("other/part-000000000000.parquet"), part(9)).unwrap();
    write_parquet(&part(10), &batch(vec![("x", binary(&[None]))]));
    write_parquet(&folder.path("out/mine.parquet"), &batch(vec![("x", binary(&[None]))]));
    let assert = folder.imbed(&[&["embed"], &args[..]].concat()).assert().code(0);
    let message = stderr(&assert);
    for part in [
        "part-000000000008.parquet is no part of this run (it is not a whole Parquet file)",
        "part-000000000072.parquet is no part of this run (another model, other options or other inputs made it)",
        "part-000000000080.parquet is no part of this run (imbed has not made it)",
        "mine.parquet was not made by imbed",
    ] {
        assert!(message.contains(part), "{part} in: {message}");
    }
    fs::remove_file(folder.path("out/mine.parquet")).unwrap();
    assert_eq!(rows(&folder, "out"), undisturbed(&folder, &["shots"]));
    assert_eq!(parts(&folder, "out").len(), 5);
    // What is not ours is set aside, and two parts with the same rows count once.
    assert!(folder.path("out/part-000000000080.parquet.aside").exists());
    fs::copy(folder.path("copy.parquet"), folder.path("out/part-000000000000-1.parquet")).unwrap();
    assert_eq!(summary(&folder, &args)["rows"], 40);
    assert_eq!(rows(&folder, "out"), undisturbed(&folder, &["shots"]));
}

#[test]
fn a_folder_that_imbed_did_not_make_is_left_alone() {
    let folder = Folder::with_shots(2);
    folder.write("mine/precious.txt", b"x");
    for flag in ["--resume", "--overwrite", "--quiet"] {
        let assert = folder.imbed(&["embed", "shots", "-o", "mine/", flag]).assert().code(2);
        assert!(stderr(&assert).contains("holds other files (precious.txt)"), "{}", stderr(&assert));
    }
    folder.imbed(&["embed", "shots", "-o", "out/"]).assert().code(0);
    folder.write("out/precious.txt", b"x");
    folder.imbed(&["embed", "shots", "-o", "out", "--overwrite", "--normalize"]).assert().code(0);
    assert_eq!(fs::read(folder.path("out/precious.txt")).unwrap(), b"x");
    assert_eq!(rows(&folder, "out"), undisturbed(&folder, &["shots", "--normalize"]));
    let assert = folder.imbed(&["embed", "shots", "-o", "no/such/"]).assert().code(2);
    assert!(stderr(&assert).contains("mkdir -p no"), "{}", stderr(&assert));
}

#[test]
fn a_row_that_stops_the_run_leaves_what_was_done_and_can_be_passed_over() {
    use std::io::Write;
    let folder = Folder::with_shots(40);
    folder.write("shots/36.png", b"I am no image.");
    let (child, mut input) = waiting_run(&folder, "out.parquet");
    input.write_all(b"shots/36.png\nshots/37.png\n").unwrap();
    drop(input);
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{message}");
    assert!(message.contains("row 36 (shots/36.png)") && message.contains("--on-error"), "{message}");
    assert!(message.contains("rows are kept in out.parquet.parts; to go on:"), "{message}");

    let list = (0..40).map(|i| format!("shots/{i:02}.png\n")).collect::<Vec<_>>().concat();
    let args = ["embed", "-", "-o", "out.parquet", "--part-rows", "8", "--resume"];
    let go_on = |more: &[&str], code: i32| {
        let mut command = folder.imbed(&[&args[..], more].concat());
        let assert = command.write_stdin(list.as_str()).assert().code(code);
        (serde_json::from_str::<Value>(&stdout(&assert)).unwrap_or_default(), stderr(&assert))
    };
    let (went_on, _) = go_on(&["--on-error", "ignore", "--json"], 1);
    assert!(went_on["resumed"].as_u64().unwrap() >= 32, "{went_on}");
    assert_eq!((&went_on["rows"], &went_on["failed"]), (&40.into(), &1.into()));
    assert_eq!(rows(&folder, "out.parquet"), undisturbed(&folder, &["shots", "--on-error", "ignore"]));
    // Its part is not embedded again unless the user wants the failed row tried once more, or cannot do without it.
    assert_eq!(go_on(&["--on-error", "ignore", "--json"], 1).0["resumed"], 40);
    let (again, _) = go_on(&["--on-error", "ignore", "--json", "--retry-failed"], 1);
    assert!(again["resumed"].as_u64().unwrap() < 40, "{again}");
    let (_, message) = go_on(&[], 3);
    assert!(message.contains("row 36 (shots/36.png)"), "{message}");
    assert_eq!(rows(&folder, "out.parquet").len(), 40, "the file that was whole is still there");
}

#[test]
fn tables_go_on_by_row_and_by_the_files_that_they_name() {
    let folder = Folder::with_shots(40);
    let images: Vec<Option<Vec<u8>>> = (0..40).map(|i| (i != 5).then(|| png(i))).collect();
    let ids: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values(0..40));
    write_parquet(&folder.path("t.parquet"), &batch(vec![("id", ids), ("image", binary(&images))]));
    let vectors = |out: &str| Embedded::read(&folder.path(out)).vectors();
    // A table is too fast to be stopped at a known row: its first 24 rows stand for what was done.
    let args = ["t.parquet", "-o", "out.parquet", "--part-rows", "8"];
    assert_eq!(summary(&folder, &[&args[..], &["--limit", "24"]].concat())["nulls"], 1);
    let whole = summary(&folder, &[&args[..], &["--resume"]].concat());
    assert_eq!((&whole["rows"], &whole["resumed"], &whole["nulls"]), (&40.into(), &24.into(), &1.into()));
    folder.imbed(&["embed", "t.parquet", "-o", "all.parquet"]).assert().code(0);
    assert_eq!(vectors("out.parquet"), vectors("all.parquet"));
    let csv: String =
        std::iter::once("path\n".to_owned()).chain((0..40).map(|i| format!("shots/{i:02}.png\n"))).collect();
    folder.write("t.csv", csv.as_bytes());
    let args = ["t.csv", "-o", "csv/", "--part-rows", "8", "--resume"];
    summary(&folder, &args);
    folder.write("shots/09.png", &png(70));
    let again = summary(&folder, &args);
    assert_eq!((&again["rows"], &again["resumed"]), (&40.into(), &32.into()));
    assert_eq!(rows(&folder, "csv"), undisturbed(&folder, &["t.csv"]));
    folder.write("t.csv", csv.replace("shots/39.png\n", "shots/39.png\nshots/01.png\n").as_bytes());
    assert_eq!(summary(&folder, &args)["rows"], 41);
    assert_eq!(rows(&folder, "csv"), undisturbed(&folder, &["t.csv"]));
}

#[test]
fn a_file_that_was_made_otherwise_is_not_gone_on_with() {
    let folder = Folder::with_shots(2);
    write_parquet(&folder.path("theirs.parquet"), &batch(vec![("x", binary(&[None]))]));
    let assert = folder.imbed(&["embed", "shots", "-o", "theirs.parquet", "--resume"]).assert().code(2);
    assert!(stderr(&assert).contains("does not say what it was made of"), "{}", stderr(&assert));
    let assert = folder.imbed(&["embed", "shots", "-o", "x.jsonl", "--resume"]).assert().code(2);
    assert!(stderr(&assert).contains("about Parquet"), "{}", stderr(&assert));
    folder.write("empty.csv", b"path\n");
    folder.imbed(&["embed", "empty.csv", "-o", "empty/"]).assert().code(0);
    folder.imbed(&["embed", "empty.csv", "-o", "empty/", "--resume"]).assert().code(0);
    assert_eq!(rows(&folder, "empty"), []);
    folder.imbed(&["embed", "empty.csv", "-o", "empty.parquet", "--resume"]).assert().code(0);
    assert_eq!(Embedded::read(&folder.path("empty.parquet")).columns(), ["path", "embedding"]);
}

/// Makes a random change to the images in `shots/`.
fn edit(folder: &Folder, random: &mut fastrand::Rng) {
    let shot = |n: usize| format!("shots/{n:03}.png");
    let n = random.usize(0..120);
    match random.u8(0..3) {
        0 => _ = fs::remove_file(folder.path(&shot(n))),
        _ => folder.write(&shot(n), &png(random.usize(0..500))),
    }
}

#[test]
fn whatever_is_edited_and_killed_the_end_is_what_an_undisturbed_run_gives() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = Folder::new();
        (0..random.usize(30..80)).for_each(|i| folder.write(&format!("shots/{i:03}.png"), &png(i)));
        let output = if random.bool() { "out.parquet" } else { "out/" };
        let args = ["shots", "-o", output, "--resume", "--quiet", "--part-rows", &random.usize(1..20).to_string()]
            .map(str::to_owned);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for _ in 0..4 {
            (0..random.usize(0..4)).for_each(|_| edit(&folder, &mut random));
            let mut child = spawn(&folder, &args);
            std::thread::sleep(Duration::from_millis(random.u64(10..500)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        folder.imbed(&[&["embed"], &args[..]].concat()).assert().code(0);
        assert_eq!(rows(&folder, output), undisturbed(&folder, &["shots"]), "seed {seed}");
        assert!(Path::new(&folder.path(output)).exists());
    }
}

#[test]
fn row_groups_of_one_file_are_those_of_its_parts() {
    let folder = Folder::with_shots(40);
    folder.imbed(&["embed", "shots", "-o", "out.parquet", "--part-rows", "8"]).assert().code(0);
    let file = fs::File::open(folder.path("out.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let rows: Vec<i64> = reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [8; 5]);
    let provenance = reader.schema().field_with_name("embedding").unwrap().metadata().clone();
    assert!(provenance.contains_key("imbed.weights"));
    assert_eq!(folder.names(), ["out.parquet", "shots"]);
}

#[cfg(feature = "sql")]
#[test]
fn a_bucket_takes_parts_as_a_folder_does() {
    use crate::s3::Server;
    let folder = Folder::with_shots(40);
    let expected = undisturbed(&folder, &["shots"]);
    let server = Server::start();
    server.bucket("b");
    let args = ["shots", "-o", "s3://b/e/", "--part-rows", "8", "--resume"];
    let names = || -> Vec<String> {
        let all = (0..100).map(|i| format!("part-{i:012}.parquet"));
        all.filter(|name| server.get("b", &format!("e/{name}")).is_some()).collect()
    };
    let found = || -> Vec<Row> {
        let read = |name: String| {
            folder.write("part.parquet", &server.get("b", &format!("e/{name}")).unwrap());
            rows_of(&Embedded::read(&folder.path("part.parquet")))
        };
        names().into_iter().flat_map(read).collect()
    };
    let run = |args: &[&str], code: i32| {
        let mut command = folder.imbed(&[&["embed"], args, &["--json"]].concat());
        let assert = command.envs(server.variables()).assert().code(code);
        (serde_json::from_str::<Value>(&stdout(&assert)).unwrap_or_default(), stderr(&assert))
    };
    // The first 24 rows stand for what a run has done that died.
    let (first, _) = run(&[&args[..], &["--limit", "24"]].concat(), 0);
    assert_eq!((&first["rows"], &first["parts"]), (&24.into(), &3.into()));
    assert!(run(&args[..5], 2).1.contains("the output exists"));
    let (second, _) = run(&args, 0);
    assert_eq!((&second["rows"], &second["resumed"]), (&40.into(), &24.into()));
    assert_eq!(found(), expected);
    folder.write("shots/00a.png", &png(70));
    let (third, _) = run(&args, 0);
    assert_eq!((&third["rows"], &third["resumed"]), (&41.into(), &32.into()));
    assert_eq!(found(), undisturbed(&folder, &["shots"]));
    let manifest: Value = serde_json::from_slice(&server.get("b", "e/_imbed.json").unwrap()).unwrap();
    assert_eq!((&manifest["complete"], &manifest["rows"]), (&true.into(), &41.into()));
    assert!(run(&[&args[..], &["--normalize"]].concat(), 2).1.contains("was made otherwise"));
    let torn = server.get("b", "e/part-000000000009.parquet").unwrap();
    server.put("b", "e/part-000000000009.parquet", &torn[..torn.len() - 3]);
    let (mended, message) = run(&args, 0);
    assert_eq!(mended["resumed"], 33, "{message}");
    assert!(message.contains("part-000000000009.parquet is no part of this run"), "{message}");
    assert_eq!(found(), undisturbed(&folder, &["shots"]));
    let (_, message) = run(&["shots", "-o", "s3://b/e.parquet"], 2);
    assert!(message.contains("a name that ends with /"), "{message}");
    let (_, message) = run(&["shots", "-o", "s3://nowhere/e/"], 2);
    assert!(message.contains("no such bucket"), "{message}");
}
