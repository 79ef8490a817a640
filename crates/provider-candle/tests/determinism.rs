//! The bits of a vector depend on its image alone.

mod support;

use imbed_core::{EmbedOptions, PixelBatch, options::Pooling};
use support::{CHECKPOINTS, Golden, RAGGED, describe, embed, load, varied_pixels};

fn bits(vectors: &[f32]) -> Vec<u32> {
    vectors.iter().map(|x| x.to_bits()).collect()
}

/// Every checkpoint as it comes, and some with each pooling.
fn models() -> Vec<(&'static str, EmbedOptions)> {
    let mut models: Vec<_> = CHECKPOINTS.iter().map(|name| (*name, EmbedOptions::default())).collect();
    models.push(("imbed/tiny", EmbedOptions::default()));
    for (name, pooling) in [("vit", Pooling::Cls), ("vit", Pooling::Mean), ("dinov3", Pooling::Mean)] {
        models.push((name, EmbedOptions { pooling: Some(pooling), ..Default::default() }));
    }
    models
}

#[test]
fn a_vector_has_the_same_bits_in_batches_of_every_size() {
    for (name, options) in models() {
        let embedder = load(&*describe(name, &options));
        let golden = Golden::of(name).pixels();
        let (height, width) = golden.size().unwrap();
        let images = varied_pixels(16, height, width);
        let together = bits(&embed(&*embedder, &images));
        for size in [1, 2, 3, 5, 16] {
            let mut apart = Vec::new();
            for start in (0..images.len()).step_by(size) {
                let end = (start + size).min(images.len());
                apart.extend(bits(&embed(&*embedder, &images.slice(start..end))));
            }
            assert_eq!(apart, together, "{name} in batches of {size}");
        }
    }
}

#[test]
fn a_vector_has_the_same_bits_at_every_place_in_a_batch() {
    for (name, options) in models() {
        let embedder = load(&*describe(name, &options));
        let golden = Golden::of(name).pixels();
        let (height, width) = golden.size().unwrap();
        let images = varied_pixels(11, height, width);
        let straight = bits(&embed(&*embedder, &images));
        // Steps that have no factor in common with 11 visit every image.
        for step in [3, 7, 10] {
            let order: Vec<usize> = (0..11).map(|i| i * step % 11).collect();
            let mut shuffled = PixelBatch::with_capacity(11, height, width);
            for image in &order {
                shuffled.push(images.image(*image), height, width);
            }
            let shuffled = bits(&embed(&*embedder, &shuffled));
            for (place, image) in order.iter().enumerate() {
                let width = embedder.width();
                let (there, here) = (&shuffled[place * width..][..width], &straight[image * width..][..width]);
                assert_eq!(there, here, "{name}: image {image} at place {place}");
            }
        }
    }
}

#[test]
fn an_image_in_its_own_proportions_has_the_same_bits_whatever_others_are_beside_it() {
    let embedder = load(&*describe(RAGGED, &EmbedOptions::default()));
    let images = Golden::of(RAGGED).ragged_pixels();
    let together = bits(&embed(&*embedder, &images));
    let width = embedder.width();
    for image in 0..images.len() {
        let alone = bits(&embed(&*embedder, &images.slice(image..image + 1)));
        assert_eq!(alone, together[image * width..][..width], "image {image} alone");
        let (rows, columns) = images.image_size(image);
        let uniform = PixelBatch::from_vec(images.image(image).to_vec(), rows, columns).unwrap();
        assert_eq!(bits(&embed(&*embedder, &uniform)), alone, "image {image} in a batch of one size");
    }
    for order in [[8, 7, 6, 5, 4, 3, 2, 1, 0], [3, 3, 3, 0, 0, 5, 5, 5, 5]] {
        let mut shuffled = PixelBatch::ragged(9);
        for image in order {
            let (rows, columns) = images.image_size(image);
            shuffled.push(images.image(image), rows, columns);
        }
        let shuffled = bits(&embed(&*embedder, &shuffled));
        for (place, image) in order.into_iter().enumerate() {
            assert_eq!(shuffled[place * width..][..width], together[image * width..][..width], "image {image}");
        }
    }
}

#[test]
fn more_images_than_one_pass_holds_change_nothing() {
    // 17 tokens per image: a pass holds 120 images.
    let embedder = load(&*describe("clip", &EmbedOptions::default()));
    let images = varied_pixels(250, 32, 32);
    let all = bits(&embed(&*embedder, &images));
    for image in [0, 119, 120, 240, 249] {
        let alone = bits(&embed(&*embedder, &images.slice(image..image + 1)));
        assert_eq!(alone, all[image * embedder.width()..][..embedder.width()], "image {image}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for (name, options) in models() {
        let embedder = load(&*describe(name, &options));
        let golden = Golden::of(name).pixels();
        let (height, width) = golden.size().unwrap();
        let images = varied_pixels(9, height, width);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bits(&embed(&*embedder, &images)))
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert_eq!(run(threads), one, "{name} with {threads} threads");
        }
    }
}

#[test]
fn calls_at_the_same_time_do_not_disturb_each_other() {
    let embedder = load(&*describe("vit", &EmbedOptions::default()));
    let images = varied_pixels(6, 32, 32);
    let alone = bits(&embed(&*embedder, &images));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(bits(&embed(&*embedder, &images)), alone)));
        }
    });
}

#[test]
fn a_restored_descriptor_gives_the_same_vectors() {
    use imbed_core::Provider;

    for (name, options) in models() {
        let descriptor = describe(name, &options);
        let sent = serde_json::to_string(&descriptor.to_json().unwrap()).unwrap();
        let restored = imbed_provider_candle::CandleProvider.restore(&serde_json::from_str(&sent).unwrap()).unwrap();
        assert_eq!(restored.model(), descriptor.model());
        assert_eq!(restored.dimensions(), descriptor.dimensions());
        assert_eq!(restored.input(), descriptor.input());
        assert_eq!(restored.weights_hash().unwrap(), descriptor.weights_hash().unwrap());
        let images = Golden::of(name).pixels();
        assert_eq!(bits(&embed(&*load(&*restored), &images)), bits(&embed(&*load(&*descriptor), &images)), "{name}");
    }
}
