//! Images by address.

use std::time::Duration;

use crate::{
    fixture::{Embedded, Folder, png, stderr, stdout},
    web::Web,
};

const AT_ONCE: Duration = Duration::ZERO;

fn images(n: usize) -> Vec<(String, Vec<u8>)> {
    (0..n).map(|i| (format!("/{i:02}.png"), png(i))).collect()
}

/// A list with the address of each image.
fn list(folder: &Folder, web: &Web, n: usize) {
    let lines: Vec<String> = (0..n).map(|i| web.url(&format!("/{i:02}.png"))).collect();
    folder.write("urls.txt", lines.join("\n").as_bytes());
}

#[test]
fn no_address_is_followed_unasked() {
    let (folder, web) = (Folder::new(), Web::start(images(1), AT_ONCE));
    list(&folder, &web, 1);
    let assert = folder.imbed(&["embed", &web.url("/00.png"), "-o", "out.parquet"]).assert().code(2);
    assert!(stderr(&assert).contains("--allow-urls"), "{}", stderr(&assert));
    let assert = folder.imbed(&["embed", "urls.txt", "-o", "out.parquet"]).assert().code(3);
    assert!(stderr(&assert).contains("--allow-urls"), "{}", stderr(&assert));
    folder.write("t.csv", format!("id,url\n1,{}\n", web.url("/00.png")).as_bytes());
    folder.imbed(&["embed", "t.csv", "-o", "out.parquet"]).assert().code(3);
    let assert =
        folder.imbed(&["embed", "urls.txt", "--allow-host", "127.0.0.1", "-o", "out.parquet"]).assert().code(2);
    assert!(stderr(&assert).contains("--allow-urls"), "{}", stderr(&assert));
    assert!(web.asked().is_empty());
}

#[test]
fn this_machine_is_not_reached_unless_it_is_named() {
    let (folder, web) = (Folder::new(), Web::start(images(1), AT_ONCE));
    list(&folder, &web, 1);
    let out = folder.embed_with_code(&["urls.txt", "--allow-urls", "--on-error", "ignore", "--errors-column"], 1);
    let reason = out.texts("error")[0].clone().unwrap();
    assert!(reason.starts_with("request: ") && reason.contains("an address of this machine"), "{reason}");
    let assert = folder.imbed(&["embed", "urls.txt", "--allow-urls", "-o", "out2.parquet"]).assert().code(3);
    assert!(stderr(&assert).contains("--allow-host 127.0.0.1"), "{}", stderr(&assert));
    assert!(web.asked().is_empty());
}

#[test]
fn addresses_give_the_vectors_of_their_files_wherever_they_stand() {
    let folder = Folder::with_shots(3);
    let web = Web::start(images(3), AT_ONCE);
    list(&folder, &web, 3);
    let allow = ["--allow-urls", "--allow-host", "127.0.0.1"];
    let with = |input: &[&str]| folder.embed(&[input, &allow[..]].concat()).vectors();
    let local = folder.embed(&["shots"]).vectors();
    assert_eq!(with(&["urls.txt"]), local, "bit for bit");
    assert_eq!(with(&["shots/00.png", &web.url("/01.png"), "shots/02.png"]), local, "mixed with paths, in order");
    assert_eq!(with(&[&web.url("/00.png?a=*&b=1"), &web.url("/01.png"), &web.url("/02.png")]), local, "no pattern");
    folder.write("in/t.csv", format!("id,url\n1,{}\n2,../shots/01.png\n3,\n", web.url("/00.png")).as_bytes());
    let out = folder.embed(&[&["in/t.csv"], &allow[..]].concat());
    assert_eq!(out.vectors(), [local[0].clone(), local[1].clone(), None]);
    assert_eq!(out.columns(), ["id", "url", "embedding"]);
}

#[test]
fn many_are_fetched_at_once_and_rows_keep_their_order() {
    let folder = Folder::with_shots(48);
    let web = Web::start(images(48), Duration::from_millis(100));
    list(&folder, &web, 48);
    let out = folder.embed(&["urls.txt", "--allow-urls", "--allow-host", "127.0.0.1"]);
    assert_eq!(out.vectors(), folder.embed(&["shots"]).vectors());
    assert!(web.most_at_once() > 8, "{} at once", web.most_at_once());
    let few = Web::start(images(8), Duration::from_millis(20));
    list(&folder, &few, 8);
    folder.embed(&["urls.txt", "--allow-urls", "--allow-host", "127.0.0.1", "--url-requests", "2"]);
    assert!(few.most_at_once() <= 2, "{} at once", few.most_at_once());
}

#[test]
fn a_failure_names_row_and_address_and_neither_password_nor_signature() {
    let (folder, web) = (Folder::new(), Web::start(images(1), AT_ONCE));
    let secret = web.url("/none.png?signature=canary").replace("http://", "http://me:canary@");
    folder.write("urls.txt", format!("{}\n{secret}\n", web.url("/00.png")).as_bytes());
    let allow = ["--allow-urls", "--allow-host", "127.0.0.1"];
    let args =
        [&["embed", "urls.txt", "-o", "out.parquet", "--on-error", "log", "--errors-column"], &allow[..]].concat();
    let assert = folder.imbed(&args).assert().code(1);
    let message = stderr(&assert);
    assert!(
        message.contains("row 1: request: ") && message.contains("/none.png?…: the server answers 404"),
        "{message}"
    );
    assert!(!message.contains("canary"), "{message}");
    let out = Embedded::read(&folder.path("out.parquet"));
    assert!(!out.texts("error")[1].clone().unwrap().contains("canary"));
    assert_eq!(out.texts("path")[1].as_deref(), Some(secret.as_str()), "a carried column is the user's own");
    let assert = folder.imbed(&[&["embed", &secret, "-o", "x.parquet"], &allow[..]].concat()).assert().code(3);
    assert!(!stderr(&assert).contains("canary") && stderr(&assert).contains("404"), "{}", stderr(&assert));
    let assert = folder.imbed(&[&["embed", &secret, "--explain"], &allow[..]].concat()).assert().code(0);
    assert!(!stdout(&assert).contains("canary") && stdout(&assert).contains("127.0.0.1"), "{}", stdout(&assert));
}

#[test]
fn the_plan_says_that_addresses_are_followed() {
    let folder = Folder::with_shots(1);
    let plan = stdout(&folder.imbed(&["embed", "shots", "--explain", "--allow-urls"]).assert().code(0));
    assert!(plan.contains("fetched from the public internet") && plan.contains("fetched at once"), "{plan}");
    let plan = stdout(&folder.imbed(&["embed", "shots", "--explain"]).assert().code(0));
    assert!(!plan.contains("fetched"), "{plan}");
}

#[test]
fn a_large_image_and_a_redirected_list_are_refused() {
    let (folder, web) = (Folder::new(), Web::start(images(1), AT_ONCE));
    let url = web.url("/00.png");
    let args = ["embed", &url, "--allow-urls", "--allow-host", "127.0.0.1", "--max-bytes", "10", "-o", "out.parquet"];
    let assert = folder.imbed(&args).assert().code(3);
    assert!(stderr(&assert).contains("over the limit of 10"), "{}", stderr(&assert));
    for other in [web.url("/t.parquet"), web.url("/list.txt")] {
        folder.imbed(&["embed", &other, "--allow-urls", "-o", "out.parquet"]).assert().code(2);
    }
}
