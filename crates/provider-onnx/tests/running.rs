//! Loading and running: what ONNX Runtime refuses, and what a batch may do to a vector.

mod support;

use std::process::Command;

use imbed_core::{Device, EncodedImage, ErrorKind, ImageBatch, PixelBatch, Provider};
use imbed_provider_onnx::OnnxProvider;
use support::{Golden, describe, embed, fixture, form, load, relative_error, runtime, try_describe, try_load};

#[test]
fn an_execution_provider_that_the_library_lacks_is_an_error_and_never_the_processor() {
    runtime();
    // No build of ONNX Runtime has both.
    let missing = ["coreml", "directml"].map(|name| {
        let descriptor = describe("clip", &[("execution_provider", name)]);
        descriptor.instantiate(Device::Cpu).err()
    });
    let error = missing.into_iter().flatten().next().unwrap();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(error.message().contains("it has cpu"), "{error}");
    assert!(error.hint_text().unwrap().contains("ORT_DYLIB_PATH"), "{error}");
}

#[test]
fn a_device_that_the_execution_provider_does_not_use_is_refused() {
    runtime();
    let cuda = describe("clip", &[("execution_provider", "cuda")]);
    assert_eq!(cuda.instantiate(Device::Cpu).unwrap_err().kind(), ErrorKind::Device);
    assert_eq!(describe("clip", &[]).instantiate(Device::Metal(0)).unwrap_err().kind(), ErrorKind::Device);
}

#[test]
fn the_batch_changes_a_vector_by_rounding_at_most() {
    let golden = Golden::of("clip");
    let embedder = load(&*describe("clip", &[]));
    let together = embed(&*embedder, &golden.pixels());
    for size in 1..golden.pixels().len() {
        let mut apart = Vec::new();
        for start in (0..golden.pixels().len()).step_by(size) {
            let end = (start + size).min(golden.pixels().len());
            apart.extend(embed(&*embedder, &golden.pixels().slice(start..end)));
        }
        let error = relative_error(&apart, &together, embedder.width());
        assert!(error <= 1e-5, "in batches of {size}: {error:e}");
    }
}

#[test]
fn images_of_different_sizes_are_embedded_in_their_order() {
    let descriptor = form("open", &[("output", "vector"), ("crop", "none")]);
    let embedder = load(&*descriptor);
    let mut ragged = PixelBatch::ragged(4);
    let images: Vec<(Vec<u8>, usize, usize)> = [(2, 3), (2, 3), (5, 1), (2, 3)]
        .into_iter()
        .enumerate()
        .map(|(i, (height, width))| ((0..height * width * 3).map(|b| (b * 7 + i * 50) as u8).collect(), height, width))
        .collect();
    for (image, height, width) in &images {
        ragged.push(image, *height, *width);
    }
    let together = embed(&*embedder, &ragged);
    for (i, (image, height, width)) in images.into_iter().enumerate() {
        let alone = embed(&*embedder, &PixelBatch::from_vec(image, height, width).unwrap());
        assert!(relative_error(&together[i * 5..][..5], &alone, 5) <= 1e-5, "image {i}");
    }
}

#[test]
fn calls_at_the_same_time_do_not_disturb_each_other() {
    let golden = Golden::of("clip");
    let embedder = load(&*describe("clip", &[("threads", "1")]));
    let alone = embed(&*embedder, &golden.pixels());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(embed(&*embedder, &golden.pixels()), alone)));
        }
    });
}

#[test]
fn a_restored_descriptor_gives_the_same_vectors() {
    let golden = Golden::of("vit");
    let descriptor = describe("vit", &[("pooling", "mean"), ("threads", "1")]);
    let restored = OnnxProvider.restore(&descriptor.to_json().unwrap()).unwrap();
    assert_eq!(embed(&*load(&*restored), &golden.pixels()), embed(&*load(&*descriptor), &golden.pixels()));
}

#[test]
fn a_width_that_turns_out_wrong_is_an_error_that_shows_the_shape() {
    let embedder = load(&*form("bare", &[("layout", "nchw"), ("embedding_width", "6")]));
    let pixels = Golden::of("forms").pixels();
    let error = embedder.embed(ImageBatch::Pixels(&pixels), &mut [0.0; 7 * 6]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dimensions);
    assert!(error.message().contains("[7, 5]"), "{error}");
}

#[test]
fn a_batch_that_does_not_fit_the_graph_is_refused() {
    let embedder = load(&*describe("vit", &[]));
    let embed = |batch: ImageBatch<'_>, room: usize| embedder.embed(batch, &mut vec![0.0; room]).unwrap_err();
    let wrong = PixelBatch::from_vec(vec![0; 2 * 24 * 39 * 3], 24, 39).unwrap();
    assert_eq!(embed(ImageBatch::Pixels(&wrong), 64).kind(), ErrorKind::BadInput);
    let right = PixelBatch::from_vec(vec![0; 2 * 24 * 40 * 3], 24, 40).unwrap();
    assert_eq!(embed(ImageBatch::Pixels(&right), 63).kind(), ErrorKind::Dimensions);
    let encoded = [EncodedImage { bytes: vec![1].into(), media_type: "image/png" }];
    assert_eq!(embed(ImageBatch::Encoded(&encoded), 32).kind(), ErrorKind::BadInput);
    assert!(embedder.embed(ImageBatch::Pixels(&PixelBatch::with_capacity(0, 24, 40)), &mut []).is_ok());
}

#[test]
fn a_graph_that_onnx_runtime_cannot_load_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "preprocessor_config.json"] {
        std::fs::copy(fixture("vit").join(name), folder.path().join(name)).unwrap();
    }
    // Its description is whole, but the operation that it names does not exist: field 4 of a node, 4 letters.
    let bytes = std::fs::read(fixture("vit/model.onnx")).unwrap();
    let place = bytes.windows(6).position(|part| part == b"\x22\x04Conv").unwrap();
    let broken = [&bytes[..place], b"\x22\x04Conq", &bytes[place + 6..]].concat();
    std::fs::write(folder.path().join("model.onnx"), broken).unwrap();
    let descriptor = try_describe(folder.path(), &[]).unwrap();
    let error = try_load(&*descriptor).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("model.onnx"), "{error}");
}

#[test]
fn a_library_that_is_missing_is_an_error_that_says_how_to_get_it() {
    // One process has one library, so another one must look for it.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "prints_why_a_model_cannot_be_loaded", "--ignored", "--nocapture"])
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    for part in ["ORT_DYLIB_PATH names /nowhere/libonnxruntime.so", "pip install onnxruntime"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
#[ignore = "for the test above, which runs it in a process of its own"]
fn prints_why_a_model_cannot_be_loaded() {
    if let Err(error) = describe("clip", &[]).instantiate(Device::Cpu) {
        println!("{error}");
    }
}
