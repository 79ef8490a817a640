//! What a service may do wrong, and what becomes of it.

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use imbed_core::{Embedder, ErrorKind, Result};
use imbed_engine::{Embedded, Engine, Images};
use support::{Act, Fake, KEY, Wire, assert_right, describe, embed, embedder, encoded, png, run, vector};

const FAST: &[(&str, &str)] = &[("max_retries", "3")];

/// The service misbehaves on its first request only.
fn once(act: Act) -> Fake {
    Fake::start(Wire::INFINITY, move |seen| if seen.number == 0 { act.clone() } else { Act::Serve })
}

fn always(act: Act) -> Fake {
    Fake::start(Wire::INFINITY, move |_| act.clone())
}

#[test]
fn every_temporary_failure_is_tried_again_with_the_same_request() {
    for act in [
        Act::status(408),
        Act::status(409),
        Act::status(429),
        Act::status(500),
        Act::status(502),
        Act::status(503),
        Act::status(504),
        Act::ResetMidBody,
    ] {
        let fake = once(act.clone());
        assert_right(&embed(&fake, FAST, 0..3).unwrap(), 0..3);
        let seen = fake.seen();
        assert_eq!(seen.len(), 2, "{act:?}");
        assert_eq!(seen[0].images, seen[1].images, "{act:?}");
    }
}

#[test]
fn every_form_of_retry_after_is_waited_for() {
    // Dates are whole seconds, so up to one of them is lost.
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    for (header, value, least) in [
        ("retry-after", None, 1.9),
        ("retry-after", Some("1"), 1.0),
        ("Retry-After", Some("0.7"), 0.7),
        ("retry-after-ms", Some("600"), 0.6),
    ] {
        let fake = Fake::start(Wire::INFINITY, move |seen| match seen.number {
            // The date is that of the answer, whenever the request arrives.
            0 => Act::later(header, value.map_or_else(date, str::to_owned)),
            _ => Act::Serve,
        });
        assert_right(&embed(&fake, FAST, 0..2).unwrap(), 0..2);
        let seen = fake.seen();
        let waited = (seen[1].at - seen[0].at).as_secs_f64();
        assert!(waited >= least && waited < least + 10.0, "{header} {value:?}: {waited} s");
    }
}

#[test]
fn a_pause_that_is_asked_for_holds_other_requests_too() {
    let fake = Fake::start(Wire::VLLM, |seen| match seen.number {
        // Opened up by then, so that more than one request is on its way.
        6 => Act::later("retry-after-ms", "2500"),
        _ => Act::Slow(Duration::from_millis(60)),
    });
    assert_right(&embed(&fake, FAST, 0..100).unwrap(), 0..100);
    let seen = fake.seen();
    let (refused, quiet) = (seen[6].at, Duration::from_secs(1)..Duration::from_millis(2490));
    let early = seen.iter().filter(|s| s.at > refused && quiet.contains(&(s.at - refused))).count();
    assert_eq!(early, 0, "requests started while the service had asked for a pause");
}

#[test]
fn too_many_requests_never_make_more_requests() {
    let fake =
        Fake::start(
            Wire::INFINITY,
            |seen| {
                if seen.number < 4 { Act::later("retry-after-ms", "5") } else { Act::Serve }
            },
        );
    assert_right(&embed(&fake, &[("max_retries", "5")], 0..32).unwrap(), 0..32);
    assert_eq!(fake.sizes(), [32; 5], "one request, whole, until it is answered");
}

#[test]
fn requests_under_way_grow_one_by_one_and_to_no_more_than_asked_for() {
    // Long enough for six requests to meet on a busy machine.
    let fake = Fake::start(Wire::VLLM, |_| Act::Slow(Duration::from_millis(200)));
    assert_right(&embed(&fake, &[("concurrency", "6")], 0..60).unwrap(), 0..60);
    let seen = fake.seen();
    assert_eq!(seen[0].under_way, 1);
    assert!(seen[1].under_way <= 2 && seen[2].under_way <= 2, "it opens step by step");
    assert_eq!(seen.iter().map(|s| s.under_way).max().unwrap(), 6);
}

#[test]
fn retries_end_and_the_engine_adds_none() {
    for act in [Act::status(500), Act::later("retry-after-ms", "1"), Act::ResetMidBody] {
        let fake = always(act.clone());
        let descriptor =
            describe(&fake, &[("max_retries", "2"), ("on_error", "ignore"), ("concurrency", "1")]).unwrap();
        let engine = Engine::builder(descriptor).build().unwrap();
        let column: arrow_array::ArrayRef = Arc::new(arrow_array::BinaryArray::from_iter_values((0..16).map(png)));
        let error = engine.embed_array(Images::Encoded(column)).unwrap_err();
        assert_eq!(fake.sizes(), [16; 3], "{act:?}");
        assert!(matches!(error.kind(), ErrorKind::Request | ErrorKind::RateLimited), "{error}");
        assert!(error.message().starts_with("after 3 tries: http://127.0.0.1"), "{error}");
    }
}

/// 32 images in requests of 8, one at a time, through the engine.
fn run_of_32(fake: &Fake) -> Result<Embedded> {
    let options = [("max_retries", "2"), ("on_error", "ignore"), ("concurrency", "1"), ("batch_size", "8")];
    let engine = Engine::builder(describe(fake, &options)?).build()?;
    let column: arrow_array::ArrayRef = Arc::new(arrow_array::BinaryArray::from_iter_values((0..32).map(png)));
    engine.embed_array(Images::Encoded(column))
}

#[test]
fn a_request_that_is_given_up_costs_its_rows_and_no_others() {
    for act in [Act::status(500), Act::later("retry-after-ms", "1"), Act::ResetMidBody] {
        let (unlucky, trouble) = (png(17), act.clone());
        let fake =
            Fake::start(
                Wire::INFINITY,
                move |seen| {
                    if seen.images.contains(&unlucky) { trouble.clone() } else { Act::Serve }
                },
            );
        let embedded = run_of_32(&fake).unwrap();
        assert_eq!(fake.sizes(), [8; 6], "{act:?}: three times for the third, whole");
        assert_eq!(embedded.errors.iter().map(|e| e.row).collect::<Vec<_>>(), (16..24).collect::<Vec<_>>());
        assert!(embedded.errors.iter().all(|e| e.error.message().starts_with("after 3 tries: ")));
        assert_eq!(arrow_array::Array::null_count(&embedded.embeddings), 8);
    }
}

#[test]
fn what_every_request_would_meet_stops_the_run_although_some_were_answered() {
    for status in [401, 404, 405] {
        let fake =
            Fake::start(Wire::INFINITY, move |seen| if seen.number < 2 { Act::Serve } else { Act::status(status) });
        assert!(run_of_32(&fake).is_err(), "{status}");
        assert_eq!(fake.sizes(), [8; 3], "{status}");
    }
}

#[test]
fn a_refused_request_is_halved_until_the_image_at_fault_is_alone() {
    for status in [400, 413, 422] {
        let bad = png(11);
        let fake =
            Fake::start(
                Wire::INFINITY,
                move |seen| {
                    if seen.images.contains(&bad) { Act::status(status) } else { Act::Serve }
                },
            );
        let rows = embed(&fake, FAST, 0..32).unwrap();
        for (seed, row) in (0..).zip(&rows) {
            match row {
                Ok(found) => assert_eq!(found, &vector(&png(seed))),
                Err(error) => {
                    assert_eq!(seed, 11);
                    assert!(error.message().contains(&format!("this is {status}")), "{error}");
                }
            }
        }
        assert!(rows[11].is_err());
        // 32, then two halves of each refused one.
        assert_eq!(fake.sizes().len(), 1 + 2 * 5, "{status}");
    }
}

#[test]
fn the_index_puts_a_reply_in_any_order_right() {
    assert_right(&embed(&always(Act::Reversed), FAST, 0..9).unwrap(), 0..9);
}

#[test]
fn a_reply_that_breaks_its_promise_is_used_in_no_part() {
    for (act, kind, words) in [
        (Act::Short, ErrorKind::Request, "4 images were sent, but 3 vectors came back"),
        (Act::Doubled, ErrorKind::Request, "index 0"),
        (Act::Wide, ErrorKind::Dimensions, "7 numbers where 6"),
        (Act::Text("<html><body>Sign in</body></html>".to_owned()), ErrorKind::Request, "HTML page"),
        (Act::Text("{\"data\":[".to_owned()), ErrorKind::Request, "not what its dialect says"),
        (Act::Text(String::new()), ErrorKind::Request, "not what its dialect says"),
    ] {
        let fake = always(act.clone());
        let error = embed(&fake, FAST, 0..4).unwrap_err();
        assert_eq!(error.kind(), kind, "{act:?}");
        assert!(
            error.message().contains(words) && error.hint_text().is_some() == !matches!(act, Act::Doubled),
            "{error}"
        );
        assert_eq!(fake.sizes(), [4], "{act:?}: nothing is sent again");
    }
}

#[test]
fn a_vector_that_is_none_is_its_own_rows_error() {
    for act in [Act::Number(2, f32::NAN), Act::Number(2, f32::INFINITY), Act::Zeros(2)] {
        let fake = always(act.clone());
        let rows = embed(&fake, FAST, 0..4).unwrap();
        assert_eq!(rows.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true], "{act:?}");
        assert_eq!(rows[2].as_ref().unwrap_err().kind(), ErrorKind::Model);
        assert_eq!(fake.sizes(), [4]);
    }
}

#[test]
fn a_nan_that_is_no_json_is_traced_to_its_image() {
    let bad = png(2);
    let fake = Fake::start(Wire::VLLM_V2, move |seen| {
        if seen.images.contains(&bad) {
            Act::Text(r#"{"embeddings":{"float":[[NaN]]}}"#.to_owned())
        } else {
            Act::Serve
        }
    });
    let rows = embed(&fake, FAST, 0..4).unwrap();
    assert_eq!(rows.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
}

#[test]
fn a_slow_answer_is_given_up_and_asked_for_again() {
    let fake = once(Act::Slow(Duration::from_secs(20)));
    let start = Instant::now();
    assert_right(&embed(&fake, &[("timeout", "1.5")], 0..2).unwrap(), 0..2);
    assert!(start.elapsed() < Duration::from_secs(18), "the timeout is inside the retries");
    assert_eq!(fake.sizes().len(), 2);

    let fake = always(Act::Slow(Duration::from_secs(2)));
    for row in embed(&fake, &[("timeout", "0.2"), ("max_retries", "1")], 0..2).unwrap() {
        let error = row.unwrap_err();
        assert!(error.is_temporary() && error.message().contains("no answer within 0.2 s"), "{error}");
        assert!(error.hint_text().unwrap().contains("timeout"));
    }
}

#[test]
fn failures_for_good_are_not_tried_again_and_do_not_show_the_key() {
    for (status, kind) in
        [(401, ErrorKind::Config), (403, ErrorKind::Config), (404, ErrorKind::UnknownModel), (405, ErrorKind::Request)]
    {
        let fake = always(Act::Status(status, vec![], format!("{{\"detail\":\"the key {KEY} is wrong\"}}")));
        let error = embed(&fake, FAST, 0..4).unwrap_err();
        assert_eq!((error.kind(), fake.sizes()), (kind, vec![4]), "{status}");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
        assert!(error.message().contains("the key [the key] is wrong"), "{error}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let other = always(Act::Serve);
    let to = other.url();
    let fake = always(Act::Status(307, vec![("location", to.clone())], String::new()));
    let error = embed(&fake, FAST, 0..1).unwrap_err();
    assert!(error.message().contains(&to), "{error}");
    assert!(other.seen().is_empty());
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let fake = always(Act::Serve);
    // Not a port that was free a moment ago: another test's server may have it by now. Nobody serves on port 1.
    let url = "http://127.0.0.1:1";
    let error = embed(&fake, &[("base_url", url), ("max_retries", "1")], 0..2).unwrap_err();
    assert!(error.message().contains(url) && error.message().contains("cannot be reached"), "{error}");
    assert!(error.hint_text().unwrap().contains("running"));
}

#[test]
fn a_rate_limit_is_kept_before_the_service_complains() {
    let fake = Fake::start(Wire::VLLM, |_| Act::Serve);
    let start = Instant::now();
    // Ten at once, then ten a second.
    assert_right(&embed(&fake, &[("requests_per_minute", "600")], 0..25).unwrap(), 0..25);
    assert!(start.elapsed() >= Duration::from_millis(1400), "{:?}", start.elapsed());

    let fake = Fake::start(Wire::VLLM, |_| Act::Serve);
    let start = Instant::now();
    // 7 tokens an image, as the replies tell: 14 images a second after the first 14.
    assert_right(&embed(&fake, &[("tokens_per_minute", "6000"), ("concurrency", "1")], 0..30).unwrap(), 0..30);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_call_that_is_given_up_stops_its_requests() {
    let fake = Fake::start(Wire::VLLM, |_| Act::Slow(Duration::from_millis(200)));
    let embedder = embedder(&fake, &[]);
    run(async {
        let call = embedder.embed((0..50).map(encoded).collect());
        assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
        // What was on its way may still arrive.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let seen = fake.seen().len();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(fake.seen().len(), seen);
    });
}

#[test]
fn an_image_that_cannot_be_fitted_costs_its_neighbours_nothing() {
    let fake = Fake::start(Wire::INFINITY, |_| Act::Serve);
    let mut images: Vec<_> = (0..4).map(encoded).collect();
    images[1].bytes = b"not an image"[..].into();
    let Embedder::Async(embedder) = describe(&fake, &[]).unwrap().instantiate(imbed_core::Device::Cpu).unwrap() else {
        panic!()
    };
    let rows = run(embedder.embed(images)).unwrap();
    assert_eq!(rows[1].as_ref().unwrap_err().kind(), ErrorKind::Decode);
    for seed in [0, 2, 3] {
        assert_eq!(rows[seed as usize].as_ref().unwrap(), &vector(&png(seed)));
    }
    assert!(run(embedder.embed(vec![])).unwrap().is_empty());
}
