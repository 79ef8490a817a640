//! The provider's end of a batch: images are fitted, packed into requests, and put back in order.

use std::sync::Arc;

use async_trait::async_trait;
use imbed_core::{AsyncImageEmbedder, EncodedImage, Error, ErrorKind, Result, Usage};
use tokio::task::{JoinSet, spawn_blocking};

use crate::{
    fit::{Fit, Fitted},
    limits::{Limits, Weight, pack},
    service::Service,
};

/// A service as an embedder.
pub(crate) struct Remote {
    service: Arc<Service>,
    fit: Arc<Fit>,
    limits: Limits,
    width: usize,
}

impl Remote {
    pub(crate) fn new(service: Service, fit: Fit, limits: Limits, width: usize) -> Self {
        Self { service: Arc::new(service), fit: Arc::new(fit), limits, width }
    }
}

#[async_trait]
impl AsyncImageEmbedder for Remote {
    fn width(&self) -> usize {
        self.width
    }

    fn usage(&self) -> Usage {
        self.service.usage()
    }

    async fn embed(&self, images: Vec<EncodedImage>) -> Result<Vec<Result<Vec<f32>>>> {
        let fit = Arc::clone(&self.fit);
        // Decoding computes, so it keeps off the threads that wait for the network.
        let fitted: Vec<Result<Fitted>> =
            spawn_blocking(move || images.into_iter().map(|image| fit.fit(image)).collect())
                .await
                .map_err(|e| Error::new(ErrorKind::Internal, format!("fitting an image failed: {e}")))?;

        let mut rows = Vec::with_capacity(fitted.len());
        let (mut ready, mut places) = (Vec::new(), Vec::new());
        for (place, fitted) in fitted.into_iter().enumerate() {
            match fitted {
                Ok(fitted) => {
                    ready.push(fitted);
                    places.push(place);
                    rows.push(None);
                }
                Err(error) => rows.push(Some(Err(error))),
            }
        }
        let weights: Vec<Weight> = ready.iter().map(|fitted| fitted.weight).collect();
        let mut ready = ready.into_iter();
        let mut places = places.into_iter();
        // Dropping the set, as a run that is stopped does, stops its requests.
        let mut requests = JoinSet::new();
        for pack in pack(&weights, &self.limits) {
            let images: Vec<EncodedImage> = ready.by_ref().take(pack.len()).map(|fitted| fitted.image).collect();
            let places: Vec<usize> = places.by_ref().take(pack.len()).collect();
            let service = Arc::clone(&self.service);
            requests.spawn(async move { service.embed(&images).await.map(|vectors| (places, vectors)) });
        }
        while let Some(done) = requests.join_next().await {
            let (places, vectors) =
                done.map_err(|e| Error::new(ErrorKind::Internal, format!("a request failed: {e}")))??;
            for (place, vector) in places.into_iter().zip(vectors) {
                rows[place] = Some(vector);
            }
        }
        let lost = || Err(Error::new(ErrorKind::Internal, "an image was in no request"));
        Ok(rows.into_iter().map(|row| row.unwrap_or_else(lost)).collect())
    }
}
