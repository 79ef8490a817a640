//! Asking a service how wide its vectors are, with one small image. Done only when the option `probe` says so.

use std::thread;

use imbed_core::{
    EncodedImage, Error, ErrorKind, Result,
    image::{EncodeFormat, Image, Mode, Samples, encode},
};

use crate::service::Service;

/// Height and width of the image; some services refuse smaller ones.
const SIDE: u32 = 64;

/// The width of the vectors that `service` gives.
pub(crate) fn probe(service: Service) -> Result<usize> {
    let failed = |e: Error| e.context("the width of the vectors was asked for (probe)");
    // On a thread of its own, as the caller may stand inside an async runtime already.
    let asked = thread::Builder::new()
        .name("imbed-probe".to_owned())
        .spawn(move || ask(&service))
        .map_err(|e| Error::io("cannot start the thread of the probe", e))?
        .join();
    asked.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the probe panicked"))).map_err(failed)
}

fn ask(service: &Service) -> Result<usize> {
    let grey = Image::new(Mode::Rgb, SIDE, SIDE, Samples::U8(vec![128; (SIDE * SIDE * 3) as usize]))?;
    let image = EncodedImage { bytes: encode(&grey, EncodeFormat::Png)?.into(), media_type: "image/png" };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::io("cannot start the runtime of the probe", e))?;
    let vectors = runtime.block_on(service.embed(&[image]))?;
    let nothing = || Err(Error::new(ErrorKind::Request, "the service gave no vector"));
    vectors.into_iter().next().unwrap_or_else(nothing).map(|vector| vector.len())
}
