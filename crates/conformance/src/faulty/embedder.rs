//! A loaded model that misbehaves.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use imbed_core::{
    AsyncImageEmbedder, BlockingImageEmbedder, Device, EmbedOptions, EncodedImage, Error, ErrorKind, ImageBatch,
    PixelBatch, Result,
    image::{DecodeOptions, decode},
    options::Alpha,
};

use super::{LOGGED_SECRET, SECRET, count, descriptor::preprocess, fault::Fault};

/// Rows and columns of the pixels that a model reads.
pub(super) const SIDE: usize = 8;
/// Numbers per vector: the mean red, green and blue of each quarter, and a constant.
pub const WIDTH: usize = 13;

/// What a model without fault gives for the pixels of one image, `[8, 8, 3]`: the means of its quarters, at unit length.
pub fn vector(pixels: &[u8]) -> [f32; WIDTH] {
    let mut sums = [0_u32; WIDTH];
    for (i, value) in pixels.iter().enumerate().take(SIDE * SIDE * 3) {
        let (y, x, channel) = (i / 3 / SIDE, i / 3 % SIDE, i % 3);
        let quarter = (2 * y / SIDE) * 2 + 2 * x / SIDE;
        sums[quarter * 3 + channel] += u32::from(*value);
    }
    // So that a black image has a direction too.
    sums[WIDTH - 1] = 1000;
    let length = sums.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
    sums.map(|s| (f64::from(s) / length) as f32)
}

pub(super) struct FaultyModel {
    fault: Fault,
    options: EmbedOptions,
    calls: AtomicUsize,
    /// What calls at the same time fight over.
    shared: Mutex<Vec<[f32; WIDTH]>>,
}

impl FaultyModel {
    pub(super) fn new(fault: Fault, options: &EmbedOptions) -> Self {
        Self { fault, options: options.clone(), calls: AtomicUsize::new(0), shared: Mutex::default() }
    }

    /// How long a call waits.
    fn delay(&self) -> Duration {
        Duration::from_millis(match self.fault {
            Fault::IsSlow => 700,
            Fault::BlocksItsThread => 300,
            _ => 0,
        })
    }

    /// The failure of this call, if there is to be one.
    fn fail(&self) -> Result<()> {
        let call = self.calls.fetch_add(1, SeqCst);
        let requests = if self.fault == Fault::RepeatsInVain { 4 } else { 1 };
        (0..requests).for_each(|_| count(&self.options));
        let error = |kind, message: &str| Err(Error::new(kind, message));
        match self.fault {
            Fault::FailsTwice if call < 2 => {
                error(ErrorKind::Request, "the service is busy").map_err(|e| e.temporary(true))
            }
            Fault::FailsTwiceSayingForGood if call < 2 => error(ErrorKind::Request, "the service is busy"),
            Fault::FailsForGood | Fault::RepeatsInVain => error(ErrorKind::Model, "this model cannot compute anything"),
            Fault::FailsForGoodSayingForNow => {
                error(ErrorKind::Model, "this model cannot compute anything").map_err(|e| e.temporary(true))
            }
            Fault::TellsItsSecret => error(ErrorKind::Request, &format!("the key {SECRET} was not accepted")),
            Fault::LogsItsSecret => {
                tracing::trace!(authorization = LOGGED_SECRET, "a request was sent");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The vectors of a batch, with their fault.
    fn vectors(&self, pixels: &PixelBatch) -> Result<Vec<[f32; WIDTH]>> {
        let mut vectors = Vec::with_capacity(pixels.len());
        for i in 0..pixels.len() {
            let image = pixels.image(i);
            let (grey, flat) =
                (image.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]), image.chunks(3).all(|p| p == &image[..3]));
            if (self.fault == Fault::FailsOnGrey && grey) || (self.fault == Fault::FailsOnOneColour && flat) {
                return Err(Error::new(ErrorKind::Model, "this image is too dull"));
            }
            vectors.push(self.spoilt(vector(image), pixels.len()));
        }
        match self.fault {
            Fault::SwapsRows => vectors.reverse(),
            Fault::MixesThreads => return Ok(self.through_shared(vectors)),
            _ => {}
        }
        Ok(vectors)
    }

    fn spoilt(&self, mut vector: [f32; WIDTH], rows: usize) -> [f32; WIDTH] {
        match self.fault {
            Fault::Drifts => vector[1] += 0.01,
            Fault::GivesNan => vector[2] = f32::NAN,
            Fault::GivesZero => vector = [0.0; WIDTH],
            Fault::IsConstant => vector = self::vector(&[7; SIDE * SIDE * 3]),
            Fault::LosesUnitLength => vector = vector.map(|x| x * 2.0),
            Fault::IsNeverTheSame => vector[0] += self.calls.load(SeqCst) as f32 * 1e-3,
            Fault::DependsOnTheBatch => vector[0] += rows as f32 * 1e-3,
            _ => {}
        }
        vector
    }

    /// Puts the vectors where all calls put theirs, and takes what is there a little later.
    fn through_shared(&self, vectors: Vec<[f32; WIDTH]>) -> Vec<[f32; WIDTH]> {
        let rows = vectors.len();
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = vectors;
        thread::sleep(Duration::from_millis(2));
        let mut taken = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        taken.resize(rows, [0.0; WIDTH]);
        taken
    }
}

impl BlockingImageEmbedder for FaultyModel {
    fn width(&self) -> usize {
        WIDTH
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        thread::sleep(self.delay());
        self.fail()?;
        let ImageBatch::Pixels(pixels) = batch else {
            return Err(Error::new(ErrorKind::BadInput, "pixels were asked for"));
        };
        let mut vectors = self.vectors(pixels)?;
        if self.fault == Fault::ForgetsARow {
            vectors.pop();
        }
        for (out, vector) in out.chunks_mut(WIDTH).zip(vectors) {
            out.copy_from_slice(&vector);
        }
        Ok(())
    }
}

#[async_trait]
impl AsyncImageEmbedder for FaultyModel {
    fn width(&self) -> usize {
        WIDTH
    }
    async fn embed(&self, images: Vec<EncodedImage>) -> Result<Vec<Result<Vec<f32>>>> {
        if self.fault == Fault::BlocksItsThread {
            thread::sleep(self.delay());
        } else {
            tokio::time::sleep(self.delay()).await;
        }
        self.fail()?;
        let mut pixels = PixelBatch::with_capacity(images.len(), SIDE, SIDE);
        let mut failed = Vec::with_capacity(images.len());
        for image in &images {
            let mut data = vec![0; SIDE * SIDE * 3];
            let decoded = decode(&image.bytes, &DecodeOptions::default());
            failed.push(decoded.and_then(|image| preprocess().run(&image, Alpha::Drop, &mut data)).err());
            pixels.push(&data, SIDE, SIDE);
        }
        let vectors = self.vectors(&pixels)?.into_iter().zip(failed);
        let mut rows: Vec<Result<Vec<f32>>> =
            vectors.map(|(vector, failed)| failed.map_or_else(|| Ok(vector.to_vec()), Err)).collect();
        if self.fault == Fault::ForgetsARow {
            rows.pop();
        }
        Ok(rows)
    }
}
