//! Ten thousand rows through the whole pipeline and a service that fails as services do: no row lost, doubled or swapped.

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow_array::{Array, ArrayRef, BinaryArray, Float32Array, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use imbed_engine::{Chunk, Engine, Images};
use support::{Act, Fake, Wire, describe, png, vector};

const ROWS: u32 = 10_000;
const CHUNK: u32 = 500;
const BATCH: u32 = 16;

/// A number that only `n` decides, from 0 to 999.
fn per_mille(n: usize) -> u64 {
    let mut x = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
    }
    x % 1000
}

/// 5 % too many requests, in every form of asking to wait; 2 % internal errors; 1 % resets.
fn trouble(number: usize) -> Act {
    match per_mille(number) {
        0..20 => Act::later("retry-after-ms", "20"),
        20..35 => Act::later("retry-after", "0.05"),
        35..40 => Act::later("retry-after", httpdate::fmt_http_date(std::time::SystemTime::now())),
        40..50 => Act::status(429),
        50..70 => Act::status(500),
        70..80 => Act::ResetMidBody,
        _ if number % 7 == 3 => Act::Reversed,
        _ => Act::Serve,
    }
}

fn chunk(first: u32) -> Chunk {
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values((first..first + CHUNK).map(png)));
    let options = RecordBatchOptions::new().with_row_count(Some(CHUNK as usize));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    Chunk { batch, images: Images::Encoded(images), labels: None, first_row: None }
}

#[test]
fn ten_thousand_rows_survive_a_service_that_misbehaves() {
    let fake = Fake::start(Wire::INFINITY, |seen| trouble(seen.number));
    let batch = BATCH.to_string();
    let descriptor = describe(&fake, &[("batch_size", &batch), ("max_retries", "8")]).unwrap();
    let engine = Engine::builder(descriptor).build().unwrap();
    let start = Instant::now();
    let mut stream = engine.embed_stream((0..ROWS / CHUNK).map(|i| Ok(chunk(i * CHUNK)))).unwrap();
    let mut row = 0;
    for embedded in stream.by_ref() {
        let embeddings = embedded.unwrap().embeddings;
        for found in embeddings.iter() {
            let found = found.unwrap();
            let found = found.as_any().downcast_ref::<Float32Array>().unwrap();
            assert_eq!(found.values()[..], vector(&png(row)), "row {row}");
            row += 1;
        }
    }
    assert_eq!(row, ROWS);

    let service = stream.metrics().service;
    let seen = fake.seen();
    let needed = u64::from(ROWS / BATCH);
    let mut troubles: BTreeMap<String, u64> = BTreeMap::new();
    for request in &seen {
        let name = match trouble(request.number) {
            Act::Status(status, headers, _) => format!("{status} {}", headers.iter().map(|h| h.0).collect::<String>()),
            Act::ResetMidBody => "reset".to_owned(),
            _ => "answered".to_owned(),
        };
        *troubles.entry(name).or_default() += 1;
    }
    let failed = seen.len() as u64 - troubles["answered"];
    println!("{needed} requests needed, {} sent, {} repeated, {:?}", seen.len(), service.retries, start.elapsed());
    println!("{troubles:?}");
    assert_eq!((service.requests, service.retries), (seen.len() as u64, failed), "what is counted is what arrived");
    assert_eq!(troubles["answered"], needed, "no image was paid for twice");
    assert!(service.requests as f64 <= 1.1 * needed as f64 + service.retries as f64);
    assert!(failed as f64 > 0.05 * needed as f64, "the service did misbehave");
    assert!(seen.iter().all(|s| s.images.len() == BATCH as usize && s.under_way <= 8));
}
