//! What is refused, and that each refusal names the culprit and the next step.

mod support;

use std::num::NonZeroUsize;

use imbed_core::{
    Device, EmbedOptions, EncodedImage, ErrorKind, ImageBatch, Provider,
    options::{OptionMap, Pooling},
};
use imbed_provider_torch::TorchProvider;
use serde_json::json;
use support::{describe, fixture, load, varied_pixels};

#[test]
fn options_that_the_model_cannot_honour_are_refused_when_it_is_described() {
    let model = fixture("clip");
    let refused = |options: &EmbedOptions| {
        let error = TorchProvider.image_embedder(model.to_str().unwrap(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption, "{error}");
        assert!(error.hint_text().is_some(), "{error}");
        error.message().to_owned()
    };
    let with = |change: fn(&mut EmbedOptions)| {
        let mut options = EmbedOptions::default();
        change(&mut options);
        options
    };
    assert!(refused(&with(|o| o.dimensions = NonZeroUsize::new(49))).contains("49"));
    assert!(refused(&with(|o| o.pooling = Some(Pooling::Mean))).contains("mean"));
    assert!(refused(&with(|o| o.extra = [("tempreature".to_owned(), json!(1))].into())).contains("tempreature"));
    let script = [("crop", "224")].into_iter().collect::<OptionMap>().read(TorchProvider.option_specs()).unwrap();
    assert!(refused(&script).contains("TorchScript"));
}

#[test]
fn a_gpu_that_is_not_there_is_a_device_error_that_says_what_was_found() {
    let descriptor = describe("clip", &EmbedOptions::default());
    for device in [Device::Cuda(1000), Device::Metal(0)] {
        let error = descriptor.instantiate(device).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device, "{error}");
        assert!(error.message().contains(&device.to_string()), "{error}");
        assert!(error.hint_text().unwrap().contains("--device cpu"), "{error}");
    }
}

#[test]
fn a_batch_that_does_not_fit_the_model_is_refused() {
    let embedder = load(&*describe("clip", &EmbedOptions::default()));
    let embed = |batch: ImageBatch<'_>, room: usize| embedder.embed(batch, &mut vec![0.0; room]).unwrap_err();
    let wrong_size = varied_pixels(2, 32, 31);
    assert_eq!(embed(ImageBatch::Pixels(&wrong_size), 96).kind(), ErrorKind::BadInput);
    let pixels = varied_pixels(2, 32, 32);
    assert_eq!(embed(ImageBatch::Pixels(&pixels), 95).kind(), ErrorKind::Dimensions);
    let encoded = [EncodedImage { bytes: vec![1].into(), media_type: "image/png" }];
    let error = embed(ImageBatch::Encoded(&encoded), 48);
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.message().contains("torch"), "{error}");
    let none = varied_pixels(0, 32, 32);
    assert!(embedder.embed(ImageBatch::Pixels(&none), &mut []).is_ok());
}

#[test]
fn a_descriptor_that_was_tampered_with_or_is_of_nothing_is_refused() {
    let mut json = describe("clip", &EmbedOptions::default()).to_json().unwrap();
    json["architecture"]["heads"] = json!(0);
    assert!(TorchProvider.restore(&json).is_err());
    let error = TorchProvider.restore(&json!({"model": "x"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("torch"), "{error}");
}

#[test]
fn what_is_neither_folder_nor_file_nor_name_says_what_there_may_be() {
    let error = TorchProvider.image_embedder("./nothing", &EmbedOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownModel);
    assert!(error.hint_text().is_some(), "{error}");
}
