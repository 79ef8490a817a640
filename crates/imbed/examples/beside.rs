//! Two providers beside each other on one model: images per second of the model alone, in turns, and how alike their
//! vectors are.
//!
//!     cargo run --release -p imbed --features torch --example beside -- MODEL PHOTOS [ROUNDS] [BATCH] [FIRST] [SECOND]
//!
//! The photos are decoded and prepared once, before anything is timed.

use std::{path::Path, sync::Arc, time::Instant};

use imbed::core::{
    BlockingImageEmbedder, Device, EmbedOptions, Embedder, Error, ErrorKind, ImageBatch, ImageEmbedderDescriptor,
    InputSpec, PixelBatch, Registry, Result,
    image::{DecodeOptions, decode},
    options::Alpha,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, default: &'static str| arguments.get(i).cloned().unwrap_or_else(|| default.to_owned());
    let number = |i: usize, default: &'static str| {
        argument(i, default).parse::<usize>().map_err(|e| wrong(format!("argument {}: {e}", i + 1)))
    };
    let [Some(model), Some(photos)] = [arguments.first(), arguments.get(1)] else {
        return Err(wrong("a model and a folder of photos are wanted"));
    };
    let (rounds, batch) = (number(2, "5")?, number(3, "32")?.max(1));
    let names = [argument(4, "candle"), argument(5, "torch")];

    let registry = Registry::linked();
    let mut models = Vec::new();
    for name in &names {
        models.push(Model::load(&*registry.get(name)?.image_embedder(model, &EmbedOptions::default())?)?);
    }
    let pixels = prepared(Path::new(photos), &models[0].input)?;
    println!("{} photos, batches of {batch}, {rounds} rounds in turns", pixels.len());

    let mut seconds = [Vec::new(), Vec::new()];
    let mut vectors = [Vec::new(), Vec::new()];
    // The first round also allocates, and is not counted.
    for round in 0..=rounds {
        for (i, model) in models.iter().enumerate() {
            let start = Instant::now();
            vectors[i] = model.embed(&pixels, batch)?;
            if round > 0 {
                seconds[i].push(start.elapsed().as_secs_f64());
            }
        }
    }
    let speed = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        let images = pixels.len() as f64;
        (images / seconds[seconds.len() / 2], images / seconds[0])
    });
    for (name, (median, best)) in names.iter().zip(speed) {
        println!("{name:>10}: median {median:.2} images/s, best {best:.2}");
    }
    println!("{} / {}: median {:.2}, best {:.2}", names[1], names[0], speed[1].0 / speed[0].0, speed[1].1 / speed[0].1);
    alike(&vectors, models[0].embedder.width());
    Ok(())
}

struct Model {
    embedder: Arc<dyn BlockingImageEmbedder>,
    input: InputSpec,
}

impl Model {
    fn load(descriptor: &dyn ImageEmbedderDescriptor) -> Result<Self> {
        match descriptor.instantiate(Device::Cpu)? {
            Embedder::Blocking(embedder) => Ok(Self { embedder, input: descriptor.input().clone() }),
            Embedder::Async(_) => Err(wrong("a provider that runs elsewhere")),
        }
    }

    fn embed(&self, pixels: &PixelBatch, batch: usize) -> Result<Vec<f32>> {
        let mut vectors = vec![f32::NAN; pixels.len() * self.embedder.width()];
        for (i, out) in vectors.chunks_mut(batch * self.embedder.width()).enumerate() {
            let part = pixels.slice(i * batch..pixels.len().min((i + 1) * batch));
            self.embedder.embed(ImageBatch::Pixels(&part), out)?;
        }
        Ok(vectors)
    }
}

/// The photos of a folder as the model's pixels.
fn prepared(folder: &Path, input: &InputSpec) -> Result<PixelBatch> {
    let InputSpec::Pixels(recipe) = input else { return Err(wrong("a model that reads files")) };
    let size = recipe.output_size().ok_or_else(|| wrong("a model without a size"))?;
    let (height, width) = (size.height as usize, size.width as usize);
    let mut batch = PixelBatch::with_capacity(0, height, width);
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder.display(), e))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort_unstable();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| Error::io(file.display(), e))?;
        let image = decode(&bytes, &DecodeOptions::default()).map_err(|e| e.context(file.display()))?;
        let mut pixels = vec![0; height * width * 3];
        recipe.run(&image, Alpha::default(), &mut pixels)?;
        batch.push(&pixels, height, width);
    }
    Ok(batch)
}

/// The smallest and the middle cosine of the two vectors of a photo, after each set's mean is removed, and the relative error.
fn alike(vectors: &[Vec<f32>; 2], width: usize) {
    let [first, second] = vectors.each_ref().map(|vectors| centred(vectors, width));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let pairs = || first.chunks_exact(width).zip(second.chunks_exact(width));
    let mut cosines: Vec<f64> = pairs().map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).collect();
    cosines.sort_by(f64::total_cmp);
    let rows = vectors[0].chunks_exact(width).zip(vectors[1].chunks_exact(width));
    let error = rows.map(|(a, b)| {
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut a.iter().copied())
    });
    println!(
        "cosine after the mean is removed: smallest {:.9}, median {:.9}; largest relative error {:.1e}",
        cosines[0],
        cosines[cosines.len() / 2],
        error.fold(0.0, f64::max)
    );
}

fn centred(vectors: &[f32], width: usize) -> Vec<f64> {
    let rows = (vectors.len() / width) as f64;
    let mean = |column: usize| vectors.iter().skip(column).step_by(width).map(|x| f64::from(*x)).sum::<f64>() / rows;
    let means: Vec<f64> = (0..width).map(mean).collect();
    vectors.iter().zip(means.iter().cycle()).map(|(x, mean)| f64::from(*x) - mean).collect()
}

fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadOption, why).hint("MODEL PHOTOS [ROUNDS] [BATCH] [FIRST] [SECOND]")
}
