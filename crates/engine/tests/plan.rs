//! Plans say what will happen and why.

mod support;

use std::sync::Arc;

use imbed_core::ErrorKind;
use imbed_engine::{FixedInventory, Machine};
use support::FakeModel;

#[test]
fn a_plan_prints_every_decision_with_its_reason() {
    let text = FakeModel::new(&[("batch_size", "48")]).engine().plan().to_string();
    for part in [
        "fake/model",
        "FixedSizeList<Float32, 4>",
        "48",
        "(asked for)",
        "one per core",
        "RGB, resize 4x4 bilinear",
        "cpu",
        "identical images    embedded once   (up to 32 MiB are remembered)",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn an_asynchronous_model_gets_requests_and_no_device() {
    let engine = FakeModel::new(&[("concurrency", "5")]).asynchronous().engine();
    assert_eq!(engine.plan().workers.value, 5);
    assert!(engine.plan().devices.value.is_empty());
    assert!(engine.plan().to_string().contains("requests in flight"));
}

#[test]
fn a_fraction_of_a_gpu_makes_room_for_more_workers() {
    let plan = |options: &[(&'static str, &'static str)], cuda| {
        FakeModel::new(options)
            .builder()
            .inventory(Arc::new(FixedInventory { cuda, metal: 0 }))
            .build()
            .map(|e| e.plan().clone())
    };
    assert_eq!(plan(&[("num_gpus", "0.5")], 2).unwrap().workers.value, 4);
    assert_eq!(plan(&[("num_gpus", "2")], 4).unwrap().workers.value, 2);
    assert_eq!(plan(&[("num_gpus", "2")], 1).unwrap_err().kind(), ErrorKind::Device);
    assert_eq!(plan(&[("concurrency", "3")], 2).unwrap_err().kind(), ErrorKind::Device);
    assert_eq!(plan(&[("device", "cuda")], 0).unwrap_err().kind(), ErrorKind::Device);
}

#[test]
fn a_batch_grows_with_the_cores_as_far_as_memory_goes() {
    let batch = |cpus: usize| {
        let machine = Machine { cpus: cpus.try_into().unwrap(), memory: Some(1 << 36) };
        FakeModel::new(&[]).builder().machine(machine).build().unwrap().plan().batch_size.value
    };
    assert_eq!([1, 2, 4, 8, 100].map(batch), [32, 32, 64, 128, 256]);
}
