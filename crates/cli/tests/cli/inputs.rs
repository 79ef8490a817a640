//! What may be named as input, and what is carried from it.

use std::{fs::File, sync::Arc};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StructArray, types::Int32Type};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};

use imbed::core::image::{EncodeFormat, Filter, encode};

use crate::fixture::{
    Folder, batch, binary, dimensions, image, largest_difference, png, provenance, stderr, texts, write_parquet,
};

const JPEG: EncodeFormat = EncodeFormat::Jpeg { quality: 90 };

fn some(names: &[&str]) -> Vec<Option<String>> {
    names.iter().map(|n| Some((*n).to_owned())).collect()
}

#[test]
fn a_folder_is_embedded_in_order_with_paths_and_provenance() {
    let folder = Folder::with_shots(3);
    folder.write("shots/.hidden.png", b"not looked at");
    folder.write("shots/notes.txt", b"not an image");
    folder.write("shots/sub/x.PNG", &png(7));
    let assert = folder.imbed(&["embed", "shots", "-o", "out.parquet"]).assert().code(0);
    assert!(stderr(&assert).contains("skipped   1 file"), "{}", stderr(&assert));
    let out = crate::fixture::Embedded::read(&folder.path("out.parquet"));
    assert_eq!(out.columns(), ["path", "embedding"]);
    assert_eq!(out.texts("path"), some(&["shots/00.png", "shots/01.png", "shots/02.png", "shots/sub/x.PNG"]));
    let vectors = out.vectors();
    assert!(vectors.iter().all(|v| v.as_ref().is_some_and(|v| v.len() == dimensions(&out) as usize)));
    assert_ne!(vectors[0], vectors[1]);
    let made = provenance(&out);
    assert!(made.contains_key("imbed.provider") && made.contains_key("imbed.model"), "{made:?}");
    assert!(made["imbed.weights"].starts_with("blake3:"), "{made:?}");
}

#[test]
fn patterns_files_lists_and_standard_input_give_the_same_vectors() {
    let folder = Folder::with_shots(4);
    folder.write("list.txt", b"# three of them\nshots/00.png\n\nshots/01.png\r\nshots/02.png\nshots/03.png\n");
    let expected = folder.embed(&["shots"]);
    for args in [
        vec!["shots/**/*.png"],
        vec!["shots/0[0-3].png"],
        vec!["shots/00.png", "shots/01.png", "shots/02.png", "shots/03.png"],
        vec!["list.txt"],
        vec!["shots/00.png", "shots/0[1-3].png"],
    ] {
        let out = folder.embed(&args);
        assert_eq!(out.texts("path"), expected.texts("path"), "{args:?}");
        assert_eq!(out.vectors(), expected.vectors(), "{args:?}");
    }
    folder
        .imbed(&["embed", "-", "-o", "out.parquet", "--overwrite"])
        .write_stdin("shots/00.png\nshots/01.png\nshots/02.png\nshots/03.png\n")
        .assert()
        .code(0);
    let out = crate::fixture::Embedded::read(&folder.path("out.parquet"));
    assert_eq!(out.vectors(), expected.vectors());
}

#[test]
fn large_jpegs_are_decoded_smaller_where_that_is_asked_for() {
    let folder = Folder::with_shots(1);
    folder.write("large.jpg", &encode(&image(5).resize(900, 700, Filter::Bicubic).unwrap(), JPEG).unwrap());
    let files = ["large.jpg", "shots/00.png"];
    let embed = |option: &[&str]| folder.embed(&[&files[..], option].concat());
    let (exact, fast) = (embed(&[]), embed(&["--decode", "fast"]));
    assert_ne!(exact.vectors()[0], fast.vectors()[0]);
    assert_eq!(exact.vectors()[1], fast.vectors()[1]);
    assert!(provenance(&fast)["imbed.options"].contains(r#""decode":"fast""#), "{:?}", provenance(&fast));
    assert_eq!(embed(&["--decode", "exact"]).vectors(), exact.vectors());
    folder.write("imbed.toml", b"[options]\ndecode = 'fast'\n");
    assert_eq!(embed(&[]).vectors(), fast.vectors());
    folder.imbed(&["embed", "large.jpg", "-o", "x.parquet", "--decode", "slow"]).assert().code(2);
}

#[test]
fn a_file_named_explicitly_is_taken_whatever_it_is_called() {
    let folder = Folder::new();
    folder.write("picture.backup", &png(0));
    assert_eq!(folder.embed(&["picture.backup"]).texts("path"), some(&["picture.backup"]));
}

#[test]
fn tables_of_every_format_and_type_of_column_give_the_same_vectors() {
    let folder = Folder::with_shots(3);
    let expected = folder.embed(&["shots"]).vectors();
    let images: Vec<Option<Vec<u8>>> = (0..3).map(|i| Some(png(i))).collect();
    let bytes = binary(&images);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![10, 20, 30]));
    let paths = texts(&["shots/00.png", "shots/01.png", "shots/02.png"]);

    for data_type in [DataType::Binary, DataType::LargeBinary, DataType::BinaryView] {
        let image = arrow_cast::cast(&bytes, &data_type).unwrap();
        write_parquet(&folder.path("t.parquet"), &batch(vec![("id", ids.clone()), ("image", image)]));
        let out = folder.embed(&["t.parquet"]);
        assert_eq!(out.columns(), ["id", "embedding"], "the bytes are dropped");
        assert_eq!(out.batch.column(0), &ids);
        assert_eq!(out.vectors(), expected, "{data_type}");
    }

    let table = batch(vec![("id", ids.clone()), ("image", bytes)]);
    let mut file =
        arrow_ipc::writer::FileWriter::try_new(File::create(folder.path("t.arrow")).unwrap(), &table.schema()).unwrap();
    file.write(&table).unwrap();
    file.finish().unwrap();
    let stream = File::create(folder.path("t.arrows")).unwrap();
    let mut stream = arrow_ipc::writer::StreamWriter::try_new(stream, &table.schema()).unwrap();
    stream.write(&table).unwrap();
    stream.finish().unwrap();
    for name in ["t.arrow", "t.arrows"] {
        assert_eq!(folder.embed(&[name]).vectors(), expected, "{name}");
    }

    folder.write("t.csv", b"sku,path\n007,shots/00.png\n008,shots/01.png\n009,shots/02.png\n");
    let out = folder.embed(&["t.csv", "--key", "path"]);
    assert_eq!(out.columns(), ["path", "sku", "embedding"], "the key comes first");
    assert_eq!(out.texts("sku"), some(&["007", "008", "009"]), "values stay as they were written");
    assert_eq!(out.vectors(), expected);

    folder.write(
        "t.jsonl",
        b"{\"file\": \"shots/00.png\", \"tags\": [\"a\"]}\n{\"file\": \"shots/01.png\", \"tags\": []}\n{\"file\": \"shots/02.png\"}\n",
    );
    let out = folder.embed(&["t.jsonl"]);
    assert_eq!(out.columns(), ["file", "tags", "embedding"]);
    assert_eq!(out.vectors(), expected);

    for data_type in [
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ] {
        let paths = arrow_cast::cast(&paths, &data_type).unwrap();
        write_parquet(&folder.path("p.parquet"), &batch(vec![("path", paths.clone())]));
        let out = folder.embed(&["p.parquet"]);
        assert_eq!(out.vectors(), expected, "{data_type}");
        assert_eq!(out.batch.column(0).data_type(), paths.data_type(), "carried as it was");
    }
}

#[test]
fn hugging_face_structs_give_bytes_or_else_the_path() {
    let folder = Folder::with_shots(3);
    let expected = folder.embed(&["shots"]).vectors();
    let members =
        Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
    let bytes = binary(&[Some(png(0)), None, Some(png(2)), Some(png(3))]);
    let paths = texts(&["nowhere.png", "shots/01.png", "nowhere.png", "nowhere.png"]);
    let valid = NullBuffer::from(vec![true, true, true, false]);
    let image: ArrayRef = Arc::new(StructArray::new(members, vec![bytes, paths], Some(valid)));
    write_parquet(&folder.path("hf.parquet"), &batch(vec![("image", image), ("label", texts(&["a", "b", "c", "d"]))]));
    let out = folder.embed(&["hf.parquet"]);
    assert_eq!(out.columns(), ["label", "embedding"]);
    let vectors = out.vectors();
    assert_eq!(vectors[..3], expected);
    assert_eq!(vectors[3], None, "a null struct is a row without an image");
}

#[test]
fn paths_of_a_table_are_looked_for_beside_it_too() {
    let folder = Folder::new();
    folder.write("data/shots/a.png", &png(0));
    folder.write("data/t.csv", b"path\nshots/a.png\n");
    let out = folder.embed(&["data/t.csv"]);
    assert_eq!(out.texts("path"), some(&["shots/a.png"]), "carried as it was");
    assert!(out.vectors()[0].is_some());
}

#[test]
fn other_columns_of_any_type_are_carried_unchanged() {
    let folder = Folder::new();
    let list: ArrayRef =
        Arc::new(arrow_array::ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]));
    let nested = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Int64, true)),
        Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
    )]);
    let table = batch(vec![
        ("tags", list),
        ("image", binary(&[Some(png(0)), Some(png(1))])),
        ("meta", Arc::new(nested)),
        ("name", texts(&["a", "b"])),
    ]);
    write_parquet(&folder.path("t.parquet"), &table);
    let out = folder.embed(&["t.parquet", "--keep-image", "--key", "name"]);
    assert_eq!(out.columns(), ["name", "tags", "image", "meta", "embedding"]);
    for name in ["name", "tags", "image", "meta"] {
        assert_eq!(out.batch.column_by_name(name), table.column_by_name(name), "{name}");
    }
}

#[test]
fn files_and_tables_mix_and_tables_must_agree() {
    let folder = Folder::with_shots(2);
    let table = |name: &str, column: &str| {
        let table = batch(vec![(column, texts(&["x"])), ("image", binary(&[Some(png(5))]))]);
        write_parquet(&folder.path(name), &table);
    };
    table("a.parquet", "id");
    table("b.parquet", "id");
    table("c.parquet", "other");
    let out = folder.embed(&["shots/*.png", "a.parquet", "b.parquet", "--column", "image"]);
    assert_eq!(out.columns(), ["path", "id", "embedding"]);
    assert_eq!(out.texts("path"), [Some("shots/00.png".into()), Some("shots/01.png".into()), None, None]);
    assert_eq!(out.texts("id"), [None, None, Some("x".into()), Some("x".into())]);
    let assert = folder.imbed(&["embed", "a.parquet", "c.parquet", "-o", "x.parquet"]).assert().code(2);
    let message = stderr(&assert);
    assert!(message.contains("c.parquet: its columns are not those of a.parquet"), "{message}");
    assert!(message.contains("'id' is missing, 'other' is additional"), "{message}");
}

#[test]
fn the_limit_counts_rows_over_all_inputs() {
    let folder = Folder::with_shots(3);
    write_parquet(&folder.path("t.parquet"), &batch(vec![("image", binary(&[Some(png(5)), Some(png(6))]))]));
    assert_eq!(folder.embed(&["shots", "--limit", "2"]).batch.num_rows(), 2);
    assert_eq!(folder.embed(&["shots", "t.parquet", "--limit", "4"]).batch.num_rows(), 4);
    assert_eq!(folder.embed(&["shots", "--limit", "99"]).batch.num_rows(), 3);
}

#[test]
fn an_empty_table_gives_an_empty_output() {
    let folder = Folder::new();
    write_parquet(&folder.path("t.parquet"), &batch(vec![("id", texts(&[])), ("image", binary(&[]))]));
    let out = folder.embed(&["t.parquet"]);
    assert_eq!(out.columns(), ["id", "embedding"]);
    assert_eq!(out.batch.num_rows(), 0);
}

#[test]
fn batch_sizes_change_neither_order_nor_vectors() {
    let folder = Folder::with_shots(9);
    let one = folder.embed(&["shots", "--batch-size", "1"]);
    for size in ["3", "16", "64"] {
        let other = folder.embed(&["shots", "--batch-size", size]);
        assert_eq!(other.texts("path"), one.texts("path"));
        assert!(largest_difference(&one.vectors(), &other.vectors()) <= 1e-5, "batch size {size}");
    }
}

#[test]
fn a_table_whose_image_column_is_unclear_lists_its_columns() {
    let folder = Folder::new();
    folder.write("t.csv", b"a,b\nx,1\n");
    let assert = folder.imbed(&["embed", "t.csv", "-o", "x.parquet"]).assert().code(2);
    assert!(stderr(&assert).contains("a: Utf8, b: Int64"), "{}", stderr(&assert));
    let assert = folder.imbed(&["embed", "t.csv", "--column", "c", "-o", "x.parquet"]).assert().code(2);
    assert!(stderr(&assert).contains("there is no column 'c'"), "{}", stderr(&assert));
}

#[test]
fn a_table_of_many_batches_keeps_its_order() {
    let folder = Folder::with_shots(3);
    let line = |n: usize| match n % 100 {
        0 => format!("shots/0{}.png,{n}\n", n / 100),
        _ => format!(",{n}\n"),
    };
    let lines = "path,n\n".to_owned() + &(0..300).map(line).collect::<String>();
    folder.write("t.csv", lines.as_bytes());
    let out = folder.embed(&["t.csv", "--column", "path"]);
    let numbers: RecordBatch = out.batch.project(&[1]).unwrap();
    let expected: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300));
    assert_eq!(numbers.column(0), &expected);
    assert_eq!(out.batch.column(2).null_count(), 297);
}

#[test]
fn decoded_images_are_embedded_as_their_files_are() {
    let folder = Folder::with_shots(2);
    let expected = folder.embed(&["shots"]).vectors();
    let images = [Some(image(0)), None, Some(image(1))];
    let (field, column) = imbed::core::arrow::images_to_array("pixels", &images).unwrap();
    let schema = Schema::new(vec![field, Field::new("id", DataType::Utf8, true)]);
    let table = RecordBatch::try_new(Arc::new(schema), vec![column, texts(&["a", "b", "c"])]).unwrap();
    write_parquet(&folder.path("t.parquet"), &table);
    let out = folder.embed(&["t.parquet"]);
    assert_eq!(out.columns(), ["id", "embedding"]);
    assert_eq!(out.vectors(), [expected[0].clone(), None, expected[1].clone()]);
}
