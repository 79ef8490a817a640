//! The same checkpoint behind an infinity server and on candle: a service that nobody here wrote must give the vectors that
//! the local model gives.
//!
//! Needs Python with `infinity-emb` (torch, vision and server parts), named by `IMBED_INFINITY_PYTHON`; without it the test
//! says so and does nothing. See `docs/openai.md`.

use std::{
    ffi::OsStr,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arrow_array::{Array, ArrayRef, BinaryArray, Float32Array};
use imbed_core::{
    Registry, Session,
    image::{EncodeFormat, Image, Mode, Samples, encode},
    options::OptionMap,
    session::Request,
};
use imbed_engine::{Engine, Images};
use imbed_provider_candle as _;
use imbed_provider_openai as _;

/// Loading `PyTorch` takes its time on a busy machine.
const START: Duration = Duration::from_mins(5);

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(python: &OsStr, checkpoint: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let child = Command::new(python)
            .args(["-c", "from infinity_emb.cli import cli; cli()", "v2", "--engine", "torch", "--device", "cpu"])
            .args(["--dtype", "float32", "--no-bettertransformer", "--no-model-warmup", "--served-model-name", "clip"])
            .args(["--host", "127.0.0.1", "--port", &port, "--model-id"])
            .arg(checkpoint)
            .envs([("HF_HUB_OFFLINE", "1"), ("DO_NOT_TRACK", "1")])
            .stdout(Stdio::null())
            .spawn()
            .expect("IMBED_INFINITY_PYTHON cannot be started");
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let start = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "infinity ended at once; its own messages are above");
            assert!(start.elapsed() < START, "infinity did not start in {START:?}");
            thread::sleep(Duration::from_millis(200));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The seeded CLIP of candle's tests, with a vocabulary of five words: infinity wants a tokenizer, though no text is sent.
fn checkpoint(folder: &Path) -> PathBuf {
    let fixture: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "provider-candle", "tests", "fixtures", "clip"].iter().collect();
    for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(name), folder.join(name)).unwrap();
    }
    let tokenizer = r#"{"tokenizer_class": "CLIPTokenizer", "model_max_length": 8, "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}"#;
    let vocabulary = r#"{"!": 0, "<|startoftext|>": 1, "<|endoftext|>": 2, "a": 3, "a</w>": 4}"#;
    std::fs::write(folder.join("tokenizer_config.json"), tokenizer).unwrap();
    std::fs::write(folder.join("vocab.json"), vocabulary).unwrap();
    std::fs::write(folder.join("merges.txt"), "#version: 0.2\n").unwrap();
    folder.to_owned()
}

/// The example photos, a grey one, one with transparency, and noise of odd sizes: more than one request holds.
fn images() -> Vec<Vec<u8>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "examples", "images"].iter().collect();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut images: Vec<Vec<u8>> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "jpg" || e == "png"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let mut state = 7u32;
    let mut noise = |width: u32, height: u32, mode: Mode| {
        let samples = (0..width as usize * height as usize * mode.channels()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let image = Image::new(mode, width, height, Samples::U8(samples.collect())).unwrap();
        encode(&image, EncodeFormat::Png).unwrap()
    };
    images.extend([noise(50, 40, Mode::L), noise(40, 50, Mode::Rgba), noise(33, 97, Mode::La)]);
    images.extend((8..24).map(|i| noise(i * 3, i * 5 - 20, Mode::Rgb)));
    images
}

fn vectors(provider: &str, model: &str, pairs: &[(&str, &str)], images: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let mut options = OptionMap::default();
    for (name, value) in pairs {
        options.set(*name, value);
    }
    let request = Request { provider: Some(provider.to_owned()), model: Some(model.to_owned()), options };
    let descriptor = Session::new(Registry::linked()).resolve(&request).unwrap().descriptor;
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values(images));
    let embedded = Engine::builder(descriptor).build().unwrap().embed_array(Images::Encoded(column)).unwrap();
    let row = |row: Option<ArrayRef>| row.unwrap().as_any().downcast_ref::<Float32Array>().unwrap().values().to_vec();
    embedded.embeddings.iter().map(row).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn infinity_gives_the_vectors_of_the_same_checkpoint_on_candle() {
    let Some(python) = std::env::var_os("IMBED_INFINITY_PYTHON") else {
        eprintln!("not run: IMBED_INFINITY_PYTHON names no Python with infinity-emb");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(folder.path());
    let server = Server::start(&python, &checkpoint);
    let images = images();
    let local = vectors("candle", checkpoint.to_str().unwrap(), &[("normalize", "true")], &images);
    // The width is asked for, as the model is in no table.
    let asked = [("dialect", "infinity"), ("base_url", server.url.as_str()), ("probe", "true"), ("batch_size", "40")];
    for encoding in ["base64", "float"] {
        let pairs: Vec<_> = asked.iter().copied().chain([("encoding", encoding)]).collect();
        let remote = vectors("openai", "clip", &pairs, &images);
        assert_eq!(remote.len(), local.len());
        let errors = remote.iter().zip(&local).map(|(remote, local)| {
            let difference: Vec<f32> = remote.iter().zip(local).map(|(r, l)| r - l).collect();
            (dot(&difference, &difference) / dot(local, local)).sqrt()
        });
        let worst = errors.fold(0.0, f64::max);
        let cosine = remote.iter().zip(&local).map(|(r, l)| dot(r, l)).fold(f64::INFINITY, f64::min);
        println!(
            "{encoding}: {} images, smallest cosine {cosine:.9}, largest relative error {worst:.2e}",
            images.len()
        );
        assert!(worst < 1e-4, "{encoding}: relative error {worst:e}");
    }
    let apart = dot(&local[0], &local[5]);
    assert!(apart < 0.99, "the images have nearly the same vector ({apart}), so the test proves nothing");

    // Cut by the service, which this server does for any model, and scaled again by the engine.
    let pairs: Vec<_> = asked[..2].iter().copied().chain([("dimensions", "16")]).collect();
    let cut = vectors("openai", "clip", &pairs, &images[..4]);
    for (cut, whole) in cut.iter().zip(&local) {
        let length = dot(&whole[..16], &whole[..16]).sqrt();
        assert!(cut.len() == 16 && (dot(cut, &whole[..16]) / length - 1.0).abs() < 1e-5);
    }
}
