//! Every dialect, against a service that knows the shapes from elsewhere and refuses a byte too many.

mod support;

use imbed_core::{Device, ErrorKind, Provider, image::Format, options::OptionMap};
use imbed_provider_openai::OpenAiProvider;
use serde_json::json;
use support::{Act, Fake, WIDTH, Wire, assert_right, describe, embed, embedder, encoded, options, png, run};

#[test]
fn every_dialect_sends_what_its_service_wants_and_reads_what_it_gives() {
    for wire in Wire::ALL {
        let fake = Fake::start(wire, |_| Act::Serve);
        assert_right(&embed(&fake, &[], 0..40).unwrap(), 0..40);
        assert_eq!(fake.sizes().iter().sum::<usize>(), 40, "{}", wire.dialect);
        assert_eq!(fake.sizes().len(), 40usize.div_ceil(wire.rows), "{}: as few requests as may be", wire.dialect);
    }
}

#[test]
fn every_dialect_can_be_asked_for_both_encodings() {
    // The fake services answer as they are asked to; here each is asked for what it does not do by default.
    for (wire, encoding, field) in [
        (Wire::INFINITY, "float", json!({"encoding_format": "float"})),
        (Wire::VLLM, "float", json!({"encoding_format": "float"})),
        (Wire::VLLM_V2, "base64", json!({"embedding_types": ["base64"]})),
        (Wire::JINA, "base64", json!({"embedding_type": "base64"})),
        (Wire::COHERE, "base64", json!({"embedding_types": ["base64"]})),
    ] {
        let fake = Fake::expecting(wire.with_base64(encoding == "base64"), field, |_| Act::Serve);
        assert_right(&embed(&fake, &[("encoding", encoding)], 0..3).unwrap(), 0..3);
    }
}

#[test]
fn a_cut_by_the_service_is_asked_for_in_its_own_words() {
    for (wire, field) in [
        (Wire::INFINITY, "dimensions"),
        (Wire::VLLM, "dimensions"),
        (Wire::VLLM_V2, "output_dimension"),
        (Wire::JINA, "dimensions"),
        (Wire::VOYAGE, "output_dimension"),
        (Wire::COHERE, "output_dimension"),
    ] {
        let fake = Fake::expecting(wire, json!({ field: WIDTH }), |_| Act::Serve);
        let mut options = options(&fake, &[("dimensions", &WIDTH.to_string())]);
        options.extra.remove("width");
        let descriptor = OpenAiProvider.image_embedder("a-model", &options).unwrap();
        assert_eq!(descriptor.dimensions().size, WIDTH);
        let imbed_core::Embedder::Async(embedder) = descriptor.instantiate(Device::Cpu).unwrap() else { panic!() };
        assert_right(&run(embedder.embed(vec![encoded(1)])).unwrap(), 1..2);
    }
}

#[test]
fn an_input_type_stands_where_the_service_looks_for_it() {
    for (wire, field) in [(Wire::JINA, "task"), (Wire::VOYAGE, "input_type")] {
        let fake = Fake::expecting(wire, json!({ field: "query" }), |_| Act::Serve);
        assert_right(&embed(&fake, &[("input_type", "query")], 0..2).unwrap(), 0..2);
    }
}

#[test]
fn requests_are_packed_by_rows_and_bytes_and_pixels() {
    let fake = Fake::start(Wire::VOYAGE, |_| Act::Serve);
    assert_right(&embed(&fake, &[("max_request_rows", "7")], 0..20).unwrap(), 0..20);
    assert_eq!(sorted(fake.sizes()), [6, 7, 7]);

    let one = png(0).len().div_ceil(3) * 4 + 128;
    let fake = Fake::start(Wire::VOYAGE, |_| Act::Serve);
    assert_right(&embed(&fake, &[("max_request_bytes", &(5 * one + 20).to_string())], 0..20).unwrap(), 0..20);
    assert_eq!(fake.sizes(), [5, 5, 5, 5]);

    // 11 images of 16 megapixels are 314 286 of the 320 000 tokens that a request may hold.
    let fake = Fake::start(Wire::VOYAGE, |_| Act::Status(400, vec![], String::new()));
    let photo = imbed_core::image::Image::new(
        imbed_core::image::Mode::L,
        4000,
        4000,
        imbed_core::image::Samples::U8(vec![9; 16_000_000]),
    )
    .unwrap();
    let bytes = imbed_core::image::encode(&photo, imbed_core::image::EncodeFormat::Png).unwrap();
    let photos = vec![imbed_core::EncodedImage { bytes: bytes.into(), media_type: Format::Png.media_type() }; 12];
    let embedder = embedder(&fake, &[("concurrency", "1")]);
    run(embedder.embed(photos)).unwrap();
    let largest = fake.sizes().into_iter().max().unwrap();
    assert_eq!(largest, 11);
}

fn sorted(mut sizes: Vec<usize>) -> Vec<usize> {
    sizes.sort_unstable();
    sizes
}

#[test]
fn the_width_is_asked_for_only_when_that_is_wanted() {
    let fake = Fake::start(Wire::INFINITY, |_| Act::Serve);
    let mut unknown = options(&fake, &[]);
    unknown.extra.remove("width");
    let error = OpenAiProvider.image_embedder("a-model", &unknown).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownModel);
    assert!(fake.seen().is_empty());

    unknown.extra.insert("probe".to_owned(), json!(true));
    // Also from inside a runtime, where nothing may block on another.
    let descriptor = run(async { OpenAiProvider.image_embedder("a-model", &unknown) }).unwrap();
    assert_eq!(descriptor.dimensions().size, WIDTH);
    assert_eq!(fake.sizes(), [1]);
    let back = OpenAiProvider.restore(&descriptor.to_json().unwrap()).unwrap();
    assert_eq!((back.dimensions().size, fake.sizes().len()), (WIDTH, 1), "restoring asks nobody");
}

#[test]
fn making_a_descriptor_asks_nobody() {
    let fake = Fake::start(Wire::JINA, |_| Act::Serve);
    let descriptor = describe(&fake, &[]).unwrap();
    descriptor.instantiate(Device::Cpu).unwrap();
    assert!(descriptor.weights_hash().unwrap().is_none());
    assert!(fake.seen().is_empty());
}

#[test]
fn openai_itself_takes_no_images() {
    let options = OptionMap::from_iter([("dialect", "openai")]).read(OpenAiProvider.option_specs()).unwrap();
    let error = OpenAiProvider.image_embedder("text-embedding-3-small", &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint_text().unwrap().contains("infinity"), "{error}");
}

#[test]
fn what_was_used_is_counted() {
    let fake = Fake::start(Wire::INFINITY, |seen| if seen.number == 0 { Act::status(503) } else { Act::Serve });
    let embedder = embedder(&fake, &[]);
    run(embedder.embed((0..5).map(encoded).collect())).unwrap();
    let usage = embedder.usage();
    assert_eq!((usage.requests, usage.retries, usage.tokens), (2, 1, 35));
    assert!(usage.bytes_sent > 10 * png(0).len() as u64);
}
