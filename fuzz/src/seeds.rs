//! What fuzzing begins with: files that our own encoders and scripts made, and the project's own configurations.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use exr::prelude::{
    Blocks, Compression, Encoding, Layer, LayerAttributes, LineOrder, SpecificChannels, Vec2, WritableImage, f16,
};
use image::{DynamicImage, ImageFormat, Rgb, Rgb32FImage};
use imbed_core::image::{EncodeFormat, Format, Image, Mode, Samples, encode, sniff};
use serde_json::{Value, json};

/// How images are decoded: the first byte of their targets' input.
const CHOICES: [u8; 4] = [0, 0b10, 0b1001, 0b10_0001];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files of `folder` below the root for which `wanted`, in the order of their names.
fn files(folder: &str, wanted: &dyn Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut paths = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries.map(|entry| entry.path()) {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry.is_dir() && name != "target" {
                paths.push(entry);
            } else if wanted(name) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found.iter().filter_map(|path| fs::read(path).ok()).filter(|file| file.len() < 100_000).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    digits.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

fn golden(name: &str) -> Value {
    let text = fs::read(root().join("crates/core/tests/fixtures").join(name)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Files of every format.
fn encoded() -> Vec<Vec<u8>> {
    let (formats, jpegs) = (golden("formats.json"), golden("jpeg.json"));
    let texts = |value: &Value| value.as_str().map(unhex);
    let files = formats["files"].as_array().into_iter().flatten().filter_map(texts);
    let jpegs = jpegs["cases"].as_array().into_iter().flatten().filter_map(|case| texts(&case["file"]));
    files.chain(jpegs).chain(ours()).chain(others()).chain(layers()).collect()
}

fn ours() -> Vec<Vec<u8>> {
    let grey = Image::new(Mode::L, 37, 23, Samples::U8((0..37 * 23).map(|i| (i * 7) as u8).collect()));
    let clear = Image::new(Mode::Rgba, 17, 40, Samples::U8((0..17 * 40 * 4).map(|i| (i * i) as u8).collect()));
    let (Ok(grey), Ok(clear)) = (grey, clear) else { return Vec::new() };
    let formats = [EncodeFormat::Png, EncodeFormat::WebP, EncodeFormat::Bmp, EncodeFormat::Tiff, EncodeFormat::Gif];
    let jpeg = EncodeFormat::Jpeg { quality: 80 };
    formats
        .into_iter()
        .flat_map(|f| [encode(&grey, f), encode(&clear, f)])
        .chain([encode(&grey, jpeg)])
        .flatten()
        .collect()
}

/// Of formats that we do not write.
fn others() -> Vec<Vec<u8>> {
    let floats = DynamicImage::from(Rgb32FImage::from_fn(9, 5, |x, y| Rgb([x as f32, y as f32, 0.5])));
    let (bytes, words) = (floats.to_rgba8(), floats.to_rgba16());
    let (bytes, words) = (DynamicImage::from(bytes), DynamicImage::from(words));
    let write = |image: &DynamicImage, format| {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).ok().map(|()| file.into_inner())
    };
    let rgb = DynamicImage::from(floats.to_rgb8());
    let made = [
        write(&floats, ImageFormat::OpenExr),
        write(&floats, ImageFormat::Hdr),
        write(&words, ImageFormat::Farbfeld),
        write(&bytes, ImageFormat::Qoi),
        write(&bytes, ImageFormat::Ico),
        write(&bytes, ImageFormat::Tga),
        write(&rgb, ImageFormat::Pnm),
        Some(b"P1 3 2\n1 0 1 0 1 0\n".to_vec()),
        Some(b"P3\n# words\n2 1\n255\n1 2 3 4 5 6\n".to_vec()),
        Some(b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n0123456789abcdef".to_vec()),
    ];
    made.into_iter().flatten().collect()
}

/// OpenEXR of every compression, in lines and in tiles.
fn layers() -> Vec<Vec<u8>> {
    use Compression::{B44, B44A, DWAA, DWAB, PIZ, PXR24, RLE, Uncompressed, ZIP1, ZIP16};
    let mut files = Vec::new();
    for compression in [Uncompressed, RLE, ZIP1, ZIP16, PIZ, PXR24, B44, B44A, DWAA(None), DWAB(None)] {
        for blocks in [Blocks::ScanLines, Blocks::Tiles(Vec2(8, 8))] {
            let encoding = Encoding { compression, blocks, line_order: LineOrder::Increasing };
            let wave = |Vec2(x, y): Vec2<usize>| f16::from_f32((x * 3 + y * 7) as f32 / 200.0);
            let colours = SpecificChannels::rgba(move |at| (wave(at), 0.5_f32, wave(at), 1_u32));
            let layer = Layer::new((17, 11), LayerAttributes::named("x"), encoding, colours);
            let mut file = Cursor::new(Vec::new());
            let written = exr::prelude::Image::from_layer(layer).write().non_parallel().to_buffered(&mut file);
            files.extend(written.ok().map(|()| file.into_inner()));
        }
    }
    files
}

fn chosen(wanted: impl Fn(Format) -> bool) -> Vec<Vec<u8>> {
    let files = encoded().into_iter().filter(|file| sniff(file).is_some_and(&wanted));
    files.enumerate().map(|(i, file)| [&[CHOICES[i % CHOICES.len()]][..], &file].concat()).collect()
}

macro_rules! formats {
    ($($name:ident $format:ident)*) => {
        $(pub(crate) fn $name() -> Vec<Vec<u8>> {
            chosen(|format| format == Format::$format)
        })*
    };
}

formats! {
    jpeg Jpeg png Png gif Gif webp WebP bmp Bmp tiff Tiff ico Ico pnm Pnm tga Tga qoi Qoi hdr Hdr exr Exr farbfeld Farbfeld
}

/// A way of decoding, a recipe, and a file.
pub(crate) fn all_images() -> Vec<Vec<u8>> {
    let recipes =
        [*b"\0\x02\x1f\0\x10\x10", *b"\x81\x03\x20\x18\x10\x10", *b"\x03\x02\x10\x40\0\0", *b"\x84\x01\0\0\x30\x05"];
    let files = encoded().into_iter().filter(|file| file.len() < 4000);
    files.enumerate().map(|(i, file)| [&[CHOICES[i / 4 % 4]][..], &recipes[i % 4][..], &file].concat()).collect()
}

pub(crate) fn exif() -> Vec<Vec<u8>> {
    vec![
        b"\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec(),
        b"\0II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x04\0\0\0abc\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0".to_vec(),
        b"\x01<x:xmpmeta><rdf:Description tiff:Orientation=\"8\"/></x:xmpmeta>".to_vec(),
        b"\x01<tiff:Orientation>5</tiff:Orientation>".to_vec(),
    ]
}

pub(crate) fn safetensors() -> Vec<Vec<u8>> {
    files("crates/vision/tests/fixtures/weights", &|name| name.ends_with(".safetensors"))
}

pub(crate) fn torch() -> Vec<Vec<u8>> {
    files("crates/vision/tests/fixtures/weights", &|name| name.ends_with(".bin"))
}

pub(crate) fn onnx() -> Vec<Vec<u8>> {
    let config = br#"{"model_type": "clip", "projection_dim": 4, "vision_config": {"hidden_size": 8}}"#;
    let graphs = files("crates/provider-onnx/tests/fixtures", &|name| name.ends_with(".onnx"));
    let length = (config.len() as u16).to_le_bytes();
    graphs.iter().map(|graph| [&length, &config[..], graph].concat()).collect()
}

/// Configurations that some provider's tests hold, each once.
fn texts(wanted: &dyn Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut texts = files("crates", wanted);
    texts.sort();
    texts.dedup();
    texts
}

pub(crate) fn configs() -> Vec<Vec<u8>> {
    texts(&|name| matches!(name, "config.json" | "open_clip_config.json"))
}

pub(crate) fn processors() -> Vec<Vec<u8>> {
    let golden = golden("processors.json");
    let cases = golden["cases"].as_array().into_iter().flatten().map(|case| case["config"].to_string().into_bytes());
    let mut all: Vec<_> = cases.collect();
    all.extend(texts(&|name| matches!(name, "preprocessor_config.json" | "processor_config.json")));
    all.sort();
    all.dedup();
    all
}

pub(crate) fn options() -> Vec<Vec<u8>> {
    let given = [
        json!({"batch_size": 16, "device": "cuda:1", "num_gpus": 0.5, "on_error": "log", "dtype": "bf16"}),
        json!({"normalize": "true", "dimensions": "64", "pooling": "cls", "alpha": "#ff8000", "frame": "3", "icc": "srgb"}),
        json!({"layout": "nhwc", "crop": "224x224", "mean": "0.5,0.5,0.5", "resize": [1, 2], "execution_options": "a=b,c=d"}),
        json!({"dialect": "jina", "base_url": "http://localhost:1", "timeout": 1.5, "width": 512, "headers": {"a": "b"}}),
    ];
    given.iter().map(|json| json.to_string().into_bytes()).collect()
}

pub(crate) fn replies() -> Vec<Vec<u8>> {
    let bodies = [
        (0x24, json!({"data": [{"index": 1, "embedding": [1.0, -2e-3]}, {"index": 0, "embedding": [0.5, null]}]})),
        (0x13, json!({"data": [{"index": 0, "embedding": "AACAPw=="}], "usage": {"total_tokens": 7}})),
        (
            0x23,
            json!({"embeddings": {"float": [[0.1, 0.2]]}, "meta": {"billed_units": {"images": 1, "input_tokens": 2.0}}}),
        ),
        (0x13, json!({"embeddings": {"base64": ["AACAPw=="]}})),
        (0, json!({"error": {"message": "no such model", "code": 404}})),
        (0, json!({"detail": [{"msg": "field required"}]})),
    ];
    let mut seeds: Vec<_> =
        bodies.iter().map(|(choice, body)| [&[*choice][..], body.to_string().as_bytes()].concat()).collect();
    seeds.push(b"\0<html><body>Sign in</body></html>".to_vec());
    seeds.push(b"\x13{\"data\": [{\"index\": 0, \"embedding\": [NaN]}]}".to_vec());
    seeds
}

pub(crate) fn headers() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 3] = [
        b"retry-after-ms:1500\nretry-after:2\n",
        b"date:Wed, 21 Oct 2015 07:28:00 GMT\nretry-after:Wed, 21 Oct 2015 07:28:30 GMT\n",
        b"x-ratelimit-reset:1790000000\n",
    ];
    texts.map(<[u8]>::to_vec).to_vec()
}

pub(crate) fn listings() -> Vec<Vec<u8>> {
    let sha = "0123456789abcdef0123456789abcdef01234567";
    let body = json!({"sha": sha, "siblings": [
        {"rfilename": "config.json", "size": 12, "blobId": sha},
        {"rfilename": "onnx/model.onnx", "lfs": {"sha256": sha.repeat(2)[..64], "size": 1_234_567}},
        {"rfilename": "../../outside", "size": 1},
    ]});
    vec![format!("org/name@main\n{body}").into_bytes(), format!("name\n{body}").into_bytes()]
}
