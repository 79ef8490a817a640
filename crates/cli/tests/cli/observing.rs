//! Logs and metrics: a run as machines see it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    fixture::{Folder, png, stderr, stdout},
    web::Web,
};

/// Each line of stderr as an object.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn json_logs_are_all_of_stderr() {
    let folder = Folder::with_shots(2);
    folder.write("shots/01.png", b"I am no image.");
    let args = ["embed", "shots", "-o", "out.parquet", "--on-error", "log", "--log-format", "json"];
    let assert = folder.imbed(&args).assert().code(1);
    let events = events(&stderr(&assert));
    let failed: Vec<&Value> = events.iter().filter(|e| e["level"] == "WARN").collect();
    assert_eq!(failed.len(), 1, "{events:?}");
    assert_eq!(failed[0]["fields"]["row"], 1);
    assert_eq!(failed[0]["fields"]["error.type"], "decode", "{failed:?}");
    assert_eq!(failed[0]["spans"][0]["gen_ai.request.model"], "imbed/tiny", "{failed:?}");
    let end = events.iter().find(|e| e["fields"]["message"] == "the run has ended").unwrap();
    assert_eq!((&end["fields"]["rows"], &end["fields"]["failed"]), (&2.into(), &1.into()));

    let assert = folder.imbed(&["embed", "nowhere", "-o", "x.parquet", "--log-format", "json"]).assert().code(2);
    let events = self::events(&stderr(&assert));
    assert_eq!((&events[0]["level"], &events[0]["fields"]["error.type"]), (&"ERROR".into(), &"bad input".into()));
    assert!(events[0]["fields"]["hint"].as_str().unwrap().contains("imbed embed --help"));
}

#[test]
fn levels_decide_what_is_logged_and_nothing_is_unasked() {
    let folder = Folder::with_shots(3);
    let run = |more: &[&str], variable: &str| {
        let args = [&["embed", "shots", "-o", "out.parquet", "--overwrite", "--quiet"], more].concat();
        stderr(&folder.imbed(&args).env("IMBED_LOG", variable).assert().code(0))
    };
    assert_eq!(run(&["--log-level", "off"], "debug"), "");
    assert_eq!(run(&["--log-level", "warn"], "off"), "");
    let debug = run(&["--log-format", "json"], "debug");
    let events = events(&debug);
    let span = |name: &str| events.iter().find(|e| e["span"]["name"] == name && e["fields"]["message"] == "close");
    assert!(span("run").is_some() && span("batch").is_some() && span("stage").is_some(), "{debug}");
    assert!(span("batch").unwrap()["fields"]["time.busy"].is_string(), "{debug}");
    assert_eq!(span("batch").unwrap()["span"]["rows"], 3);
    assert!(run(&["--log-level", "info"], "off").contains("gen_ai.request.model"));
    folder.imbed(&["embed", "shots", "--log-level", "loud", "--explain"]).assert().code(2);
}

#[test]
fn fetches_are_spans_without_secrets() {
    let (folder, web) = (Folder::new(), Web::start(vec![("/a.png".to_owned(), png(0))], Duration::ZERO));
    let url = web.url("/a.png?signature=canary");
    let args =
        ["embed", &url, "--allow-urls", "--allow-host", "127.0.0.1", "-o", "out.parquet", "--log-level", "trace"];
    let text = stderr(&folder.imbed(&[&args[..], &["--log-format", "json"]].concat()).assert().code(0));
    let fetch = events(&text).into_iter().find(|e| e["span"]["name"] == "fetch").unwrap_or_else(|| panic!("{text}"));
    assert!(fetch["span"]["url.full"].as_str().unwrap().ends_with("/a.png?…"), "{fetch}");
    assert!(!text.contains("canary"), "{text}");
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn scrape(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// The sample whose name and labels are `name`.
fn sample(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Starts what `command` says beside us, which `assert_cmd` cannot.
fn beside(command: &assert_cmd::Command) -> Child {
    let mut child = Command::new(command.get_program());
    child.args(command.get_args()).current_dir(command.get_current_dir().unwrap()).stderr(Stdio::inherit());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    child.spawn().unwrap()
}

/// All that is seen at `address` until the program ends, which it does with `code`.
fn watched(mut child: Child, address: SocketAddr, code: i32) -> Vec<String> {
    let (start, mut pages) = (Instant::now(), Vec::new());
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_mins(1));
        pages.extend(scrape(address));
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(child.wait().unwrap().code(), Some(code));
    pages
}

#[test]
fn a_run_can_be_watched_while_it_goes_on() {
    const ROWS: usize = 24;
    let folder = Folder::new();
    let web = Web::start((0..ROWS).map(|i| (format!("/{i}.png"), png(i))).collect(), Duration::from_millis(200));
    let mut list: Vec<String> = (0..ROWS).map(|i| web.url(&format!("/{i}.png"))).collect();
    list.insert(0, web.url("/none.png"));
    folder.write("urls.txt", list.join("\n").as_bytes());
    let address = free_address();
    let mut command = folder.imbed(&["embed", "urls.txt", "-o", "out.parquet", "--on-error", "ignore", "--quiet"]);
    command.args(["--allow-urls", "--allow-host", "127.0.0.1", "--url-requests", "2", "--batch-size", "4"]);
    command.args(["--metrics-addr", &address.to_string()]);
    let pages = watched(beside(&command), address, 1);
    let last = pages.last().unwrap();
    assert!(last.contains("imbed_build_info{version=\"") && last.contains("model=\"imbed/tiny\"} 1"), "{last}");
    assert_eq!(sample(last, "imbed_rows_expected"), Some(ROWS as f64 + 1.0));
    let done = |page: &String| sample(page, "imbed_rows_total{outcome=\"embedded\"}").unwrap_or(0.0);
    assert!(pages.iter().any(|page| done(page) > 0.0 && done(page) < ROWS as f64), "seen on the way: {last}");
    assert_eq!(sample(last, "imbed_row_errors_total{kind=\"request\"}"), Some(1.0), "{last}");
    assert!(
        sample(last, "imbed_read_bytes_total").unwrap() > 0.0 && sample(last, "imbed_batches_total").unwrap() > 0.0
    );
    assert!(sample(last, "imbed_stage_duration_seconds_count{stage=\"fetch\"}").unwrap() > 8.0, "{last}");
    assert!(sample(last, "imbed_stage_duration_seconds_bucket{stage=\"fetch\",le=\"+Inf\"}").unwrap() > 8.0, "{last}");
    assert!(
        pages.iter().any(|page| sample(page, "imbed_queue_depth{queue=\"fetch\"}").is_some_and(|n| n > 0.0)),
        "{last}"
    );
    assert!(sample(last, "imbed_model_busy_ratio").is_some_and(|share| (0.0..=1.0).contains(&share)));
}

#[cfg(feature = "sql")]
#[test]
fn queries_can_be_watched_while_they_go_on() {
    use crate::{
        faulty::{Fault, Faulty},
        s3::Server,
    };
    const ROWS: usize = 24;
    let (folder, server) = (Folder::new(), Server::start());
    for i in 0..ROWS {
        server.put("b", &format!("shots/{i:02}.png"), png(i));
    }
    server.put("b", "shots/99.png", &b"I am no image."[..]);
    // All images of one query come together: the second is watched while it waits for its own, when the first is counted.
    let slow = Faulty::start(server.url(), |_| Fault::Slow(Duration::from_millis(500)));
    let one = "SELECT count(embed_image(image, on_error => 'ignore')) AS n FROM images('s3://b/shots/**');";
    let other = one.replace("'ignore'", "'ignore', normalize => true");
    let address = free_address();
    let query = [one, one, other.as_str()].concat();
    let mut command = folder.imbed(&["sql", &query, "--json", "--quiet", "--metrics-addr", &address.to_string()]);
    command.envs(server.variables()).env("AWS_ENDPOINT_URL", slow.url());
    let pages = watched(beside(&command), address, 1);
    let done = |page: &String| sample(page, "imbed_rows_total{outcome=\"embedded\"}").unwrap_or(0.0);
    let last = pages.last().unwrap();
    assert!(
        pages.iter().any(|page| done(page) == ROWS as f64),
        "the first query was counted when it had ended: {last}"
    );
    assert!(pages.iter().any(|page| done(page) >= 2.0 * ROWS as f64), "two queries are more than one: {last}");
    assert!(pages.windows(2).all(|pages| done(&pages[0]) <= done(&pages[1])), "counters never fall");
    assert!(sample(last, "imbed_row_errors_total{kind=\"decode\"}").unwrap() >= 2.0, "{last}");
    for stage in ["decode", "preprocess", "model"] {
        let steps = sample(last, &format!("imbed_stage_duration_seconds_count{{stage=\"{stage}\"}}")).unwrap();
        assert!(steps > 0.0, "{stage}: {last}");
    }
    // A name and its labels are there once, though the last query is of the same model with another option.
    let mut names: Vec<&str> = last.lines().filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name)).collect();
    names.retain(|name| !name.starts_with('#'));
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{last}");
    assert!(last.contains("model=\"imbed/tiny\"} 1"), "{last}");
}

#[cfg(feature = "sql")]
#[test]
fn a_query_on_a_cluster_is_watched_at_its_executors() {
    let folder = Folder::new();
    let args = ["sql", "SELECT 1", "--metrics-addr", "127.0.0.1:0", "--cluster", "df://127.0.0.1:1"];
    let message = stderr(&folder.imbed(&args).assert().code(2));
    assert!(message.contains("--metrics-addr and --cluster") && message.contains("executors"), "{message}");
}

#[test]
fn an_address_for_metrics_that_is_taken_is_refused() {
    let folder = Folder::with_shots(1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let assert = folder.imbed(&["embed", "shots", "-o", "out.parquet", "--metrics-addr", &address]).assert().code(2);
    assert!(stderr(&assert).contains("--metrics-addr"), "{}", stderr(&assert));
    assert_eq!(folder.names(), ["shots"]);
    #[cfg(feature = "sql")]
    {
        let assert = folder.imbed(&["sql", "SELECT 1", "--metrics-addr", &address]).assert().code(2);
        assert!(stderr(&assert).contains("--metrics-addr"), "{}", stderr(&assert));
    }
    let explained = folder.imbed(&["embed", "shots", "--explain", "--metrics-addr", &address]).assert().code(0);
    assert!(stdout(&explained).contains("batch size"), "a plan serves nothing");
}
