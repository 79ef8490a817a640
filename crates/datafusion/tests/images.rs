//! The table function `images`.

mod support;

use std::fs;

use arrow_array::{
    Array,
    cast::AsArray,
    types::{Int64Type, TimestampMicrosecondType},
};
use imbed_core::ErrorKind;
use support::{error, explain, folder, png, quoted, rows, texts, tiny};

#[tokio::test]
async fn a_folder_is_a_table_of_its_images() {
    let folder = folder(3);
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/x.jpg"), b"\xff\xd8\xffnot all of it").unwrap();
    fs::write(folder.path().join("notes.txt"), b"no image").unwrap();
    fs::write(folder.path().join("zero.png"), b"").unwrap();
    let batch = rows(&tiny(), &format!("SELECT * FROM images({})", quoted(folder.path()))).await;
    let names: Vec<_> =
        texts(batch.column(0)).into_iter().map(|p| p.unwrap().rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["000.png", "001.png", "002.png", "x.jpg", "zero.png"]);
    let sizes = batch.column(1).as_primitive::<Int64Type>();
    assert_eq!(sizes.values(), &[png(0).len() as i64, png(1).len() as i64, png(2).len() as i64, 16, 0]);
    let modified = batch.column(2).as_primitive::<TimestampMicrosecondType>();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!(modified.iter().all(|t| t.is_some_and(|t| (now - t).abs() < 600_000_000)));
    let formats = ["image/png", "image/png", "image/png", "image/jpeg"].map(|f| Some(f.to_owned()));
    assert_eq!(texts(batch.column(3)), [&formats[..], &[None]].concat());
    assert_eq!(batch.column(4).as_binary::<i32>().value(1), png(1));
}

#[tokio::test]
async fn formats_are_found_without_reading_the_files() {
    let folder = folder(2);
    let context = tiny();
    let query = format!("SELECT format, count(*) FROM images({}) GROUP BY format", quoted(folder.path()));
    let plan = explain(&context, &query).await;
    assert!(plan.contains("columns=[format]"), "{plan}");
    let batch = rows(&context, &query).await;
    assert_eq!(texts(batch.column(0)), [Some("image/png".to_owned())]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[2]);
}

#[tokio::test]
async fn conditions_on_files_are_checked_before_they_are_read() {
    let folder = folder(5);
    // Reading it would be an error.
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("more/large.png"), vec![0; 5000]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.png")).unwrap();
    let context = tiny();
    let place = quoted(folder.path());
    let query = format!(
        "SELECT path, image FROM images({place}) WHERE size < 1000 AND path NOT LIKE '%002%' AND format = 'image/png'"
    );
    let plan = explain(&context, &query).await;
    let checked = plan.split("files where ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(checked.contains("size@1 < 1000") && checked.contains("path@0 NOT LIKE %002%"), "{plan}");
    assert!(plan.contains("FilterExec: format"), "{plan}");
    assert_eq!(rows(&context, &query).await.num_rows(), 4);
    let large = rows(&context, &format!("SELECT path FROM images({place}) WHERE size >= 5000")).await;
    assert!(texts(large.column(0))[0].as_ref().unwrap().ends_with("large.png"));
    let query = format!("SELECT count(*) FROM images({place}) WHERE modified > TIMESTAMP '2020-01-01T00:00:00'");
    assert_eq!(rows(&context, &query).await.column(0).as_primitive::<Int64Type>().value(0), 6);
}

#[tokio::test]
async fn a_limit_counts_what_meets_the_conditions() {
    let folder = folder(20);
    let context = tiny();
    let query = format!("SELECT path FROM images({}) WHERE path LIKE '%1_.png' LIMIT 4", quoted(folder.path()));
    let plan = explain(&context, &query).await;
    assert!(plan.contains("at most 4"), "{plan}");
    let names: Vec<_> = texts(rows(&context, &query).await.column(0)).into_iter().map(Option::unwrap).collect();
    assert!(names.len() == 4 && names[0].ends_with("010.png") && names[3].ends_with("013.png"), "{names:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_cannot_be_read_stops_the_query_or_becomes_null() {
    let folder = folder(2);
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.png")).unwrap();
    let context = tiny();
    let place = quoted(folder.path());
    let raised = error(&context, &format!("SELECT image FROM images({place})")).await;
    assert_eq!(raised.kind(), ErrorKind::Io);
    assert!(raised.message().contains("lost.png") && raised.hint_text().unwrap().contains("'ignore'"), "{raised}");
    let batch = rows(&context, &format!("SELECT size, image FROM images({place}, 'ignore')")).await;
    assert_eq!((batch.num_rows(), batch.column(0).null_count(), batch.column(1).null_count()), (3, 1, 1));
    // What is not asked for is not read.
    assert_eq!(rows(&context, &format!("SELECT path FROM images({place})")).await.num_rows(), 3);
}

#[tokio::test]
async fn patterns_and_single_files_are_places_too() {
    let folder = folder(12);
    let context = tiny();
    let count = |place: String| {
        let context = context.clone();
        async move { rows(&context, &format!("SELECT path FROM images('{place}')")).await.num_rows() }
    };
    let root = folder.path().display();
    assert_eq!(count(format!("{root}/**")).await, 12);
    assert_eq!(count(format!("{root}/01?.png")).await, 2);
    assert_eq!(count(format!("{root}/005.png")).await, 1);
    let nothing = error(&context, &format!("SELECT path FROM images('{root}/*.jpg')")).await;
    assert!(nothing.message().contains("matches no file"), "{nothing}");
    let nowhere = error(&context, "SELECT path FROM images('no/such/folder')").await;
    assert!(nowhere.message().contains("no such file or folder"), "{nowhere}");
    assert!(nowhere.hint_text().is_some());
}

#[tokio::test]
async fn counting_reads_nothing() {
    let folder = folder(7);
    let context = tiny();
    let query = format!("SELECT count(*) FROM images({})", quoted(folder.path()));
    let plan = explain(&context, &query).await;
    assert!(plan.contains("columns=[]"), "{plan}");
    assert_eq!(rows(&context, &query).await.column(0).as_primitive::<Int64Type>().value(0), 7);
}
