//! Batches, threads and descriptors that travel.

mod support;

use imbed_core::{EmbedOptions, PixelBatch, Provider};
use imbed_provider_torch::TorchProvider;
use support::{Golden, RAGGED, describe, describe_script, embed, load, relative_error, script_golden, varied_pixels};

#[test]
fn eight_threads_at_once_get_their_own_vectors() {
    let script = load(&*describe_script("forms/vector.pt", &[("embedding_width", "12")]).unwrap());
    let mut models = vec![(script, (32, 32))];
    for name in ["vit", "dinov3", "siglip"] {
        let size = Golden::of(name).pixels().size().unwrap();
        models.push((load(&*describe(name, &EmbedOptions::default())), size));
    }
    for (embedder, size) in &models {
        let images = varied_pixels(16, size.0, size.1);
        let alone = embed(&**embedder, &images);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (embedder, images, alone) = (embedder, &images, &alone);
                scope.spawn(move || {
                    let part = thread * 2..thread * 2 + 2;
                    let expected = &alone[part.start * embedder.width()..part.end * embedder.width()];
                    for _ in 0..5 {
                        let got = embed(&**embedder, &images.slice(part.clone()));
                        let error = relative_error(&got, expected, embedder.width());
                        assert!(error <= 1e-5, "thread {thread}: {error:e}");
                    }
                });
            }
        });
    }
}

#[test]
fn the_batch_changes_no_more_than_the_last_bits() {
    for name in ["clip", "siglip", "dinov2-registers", "beit", "aimv2-lit", "imbed/tiny"] {
        let embedder = load(&*describe(name, &EmbedOptions::default()));
        let (height, width) = Golden::of(name).pixels().size().unwrap();
        let images = varied_pixels(9, height, width);
        let together = embed(&*embedder, &images);
        for size in [1, 2, 4] {
            let mut apart = Vec::new();
            for start in (0..images.len()).step_by(size) {
                apart.extend(embed(&*embedder, &images.slice(start..(start + size).min(9))));
            }
            let error = relative_error(&apart, &together, embedder.width());
            assert!(error <= 1e-5, "{name} in batches of {size}: {error:e}");
        }
    }
}

#[test]
fn images_of_one_size_in_a_ragged_batch_come_back_in_their_places() {
    let embedder = load(&*describe(RAGGED, &EmbedOptions::default()));
    let images = Golden::of(RAGGED).ragged_pixels();
    let together = embed(&*embedder, &images);
    let mut shuffled = PixelBatch::ragged(9);
    let order = [8, 7, 6, 5, 4, 3, 2, 1, 0];
    for image in order {
        let (rows, columns) = images.image_size(image);
        shuffled.push(images.image(image), rows, columns);
    }
    let width = embedder.width();
    let back: Vec<f32> = embed(&*embedder, &shuffled).chunks_exact(width).rev().flatten().copied().collect();
    assert!(relative_error(&back, &together, width) <= 1e-5);
}

#[test]
fn a_restored_descriptor_gives_the_same_vectors() {
    let width = [("embedding_width", "12")];
    for (descriptor, golden) in [
        (describe("clip", &EmbedOptions::default()), Golden::of("clip")),
        (describe("imbed/tiny", &EmbedOptions::default()), Golden::of("imbed/tiny")),
        (describe_script("forms/vector.pt", &width).unwrap(), script_golden()),
    ] {
        let sent = descriptor.to_json().unwrap().to_string();
        let restored = TorchProvider.restore(&serde_json::from_str(&sent).unwrap()).unwrap();
        assert_eq!(restored.model(), descriptor.model());
        assert_eq!(restored.dimensions(), descriptor.dimensions());
        assert_eq!(restored.input(), descriptor.input());
        assert_eq!(restored.weights_hash().unwrap(), descriptor.weights_hash().unwrap());
        let images = golden.pixels();
        let width = descriptor.dimensions().size;
        let (here, there) = (embed(&*load(&*descriptor), &images), embed(&*load(&*restored), &images));
        assert!(relative_error(&here, &there, width) <= 1e-6, "{}", descriptor.model());
    }
}

#[test]
fn the_weights_hash_is_that_of_every_provider_of_checkpoints() {
    let hash = |name: &str| describe(name, &EmbedOptions::default()).weights_hash().unwrap().unwrap();
    assert_eq!(hash("clip").len(), "blake3:".len() + 64);
    assert_ne!(hash("clip"), hash("vit"));
    assert_eq!(describe("clip", &EmbedOptions::default()).recipe().unwrap()["model"]["family"], "clip");
}
