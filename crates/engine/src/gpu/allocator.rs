//! Who holds which GPU: whole ones for one worker, fractions for several.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use imbed_core::{Device, Error, ErrorKind, Result, options::GpuCount};

/// Parts of a GPU, so that fractions add up exactly: 0.1 is not a binary number.
const PARTS: u64 = 10_000;

/// Leases GPUs to the workers of one process, so that two pipelines do not take the same one.
#[derive(Debug, Clone, Default)]
pub struct Allocator {
    used: Arc<Mutex<BTreeMap<Device, u64>>>,
}

/// GPUs, or a fraction of one, held until dropped.
#[derive(Debug)]
pub struct Lease {
    allocator: Allocator,
    held: Vec<(Device, u64)>,
}

impl Lease {
    /// The devices held; the first is the one that a worker loads its model on.
    pub fn devices(&self) -> impl Iterator<Item = Device> {
        self.held.iter().map(|(device, _)| *device)
    }
}

impl Allocator {
    /// The allocator of this process.
    pub fn global() -> Self {
        static GLOBAL: std::sync::LazyLock<Allocator> = std::sync::LazyLock::new(Allocator::default);
        GLOBAL.clone()
    }

    /// Takes `count` of `devices`: the first whole ones that nobody uses, or the fraction on the first with room for it.
    ///
    /// An error of kind [`Device`](ErrorKind::Device) says how much is free.
    pub fn lease(&self, devices: &[Device], count: GpuCount) -> Result<Lease> {
        let mut used = self.lock();
        let free = |used: &BTreeMap<Device, u64>, device: &Device| PARTS - used.get(device).copied().unwrap_or(0);
        let (wanted, parts) = split(count);
        let held: Vec<(Device, u64)> =
            devices.iter().filter(|d| free(&used, d) >= parts).take(wanted).map(|d| (*d, parts)).collect();
        if held.len() < wanted {
            let left: u64 = devices.iter().map(|d| free(&used, d)).sum();
            let hint = "lower num_gpus or concurrency, or wait for the other run";
            let left = left as f64 / PARTS as f64;
            let what =
                format!("{} GPUs are needed for a worker, but only {left} of {} are free", count.get(), devices.len());
            return Err(Error::new(ErrorKind::Device, what).hint(hint));
        }
        for (device, parts) in &held {
            *used.entry(*device).or_default() += parts;
        }
        drop(used);
        Ok(Lease { allocator: self.clone(), held })
    }

    /// How many workers of `count` GPUs each fit on `devices` when nobody else uses them.
    pub(crate) fn fitting(devices: usize, count: GpuCount) -> usize {
        let (wanted, parts) = split(count);
        match (wanted, parts) {
            (0, _) | (_, 0) => devices,
            (1, parts) => devices * (PARTS / parts) as usize,
            (wanted, _) => devices / wanted,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Device, u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Number of GPUs, and the parts taken of each.
fn split(count: GpuCount) -> (usize, u64) {
    let count = count.get();
    if count >= 1.0 { (count as usize, PARTS) } else { (1, (count * PARTS as f64).round() as u64) }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut used = self.allocator.lock();
        for (device, parts) in &self.held {
            if let Some(taken) = used.get_mut(device) {
                *taken = taken.saturating_sub(*parts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(n: usize) -> Vec<Device> {
        (0..n).map(Device::Cuda).collect()
    }

    fn count(n: f64) -> GpuCount {
        GpuCount::new(n).unwrap()
    }

    #[test]
    fn whole_gpus_go_to_one_worker_each_and_come_back() {
        let allocator = Allocator::default();
        let first = allocator.lease(&gpus(2), count(1.0)).unwrap();
        let second = allocator.lease(&gpus(2), count(1.0)).unwrap();
        assert_ne!(first.devices().next(), second.devices().next());
        assert_eq!(allocator.lease(&gpus(2), count(1.0)).unwrap_err().kind(), ErrorKind::Device);
        drop(first);
        assert_eq!(allocator.lease(&gpus(2), count(1.0)).unwrap().devices().next(), Some(Device::Cuda(0)));
    }

    #[test]
    fn fractions_share_a_gpu_until_it_is_full() {
        let allocator = Allocator::default();
        let leases: Vec<Lease> = (0..10).map(|_| allocator.lease(&gpus(1), count(0.1)).unwrap()).collect();
        assert!(allocator.lease(&gpus(1), count(0.1)).is_err());
        drop(leases);
        assert!(allocator.lease(&gpus(1), count(1.0)).is_ok());
    }

    #[test]
    fn a_whole_lease_does_not_land_on_a_shared_gpu() {
        let allocator = Allocator::default();
        let _shared = allocator.lease(&gpus(2), count(0.5)).unwrap();
        assert_eq!(allocator.lease(&gpus(2), count(1.0)).unwrap().devices().next(), Some(Device::Cuda(1)));
    }

    #[test]
    fn workers_that_fit() {
        assert_eq!(Allocator::fitting(4, count(1.0)), 4);
        assert_eq!(Allocator::fitting(4, count(2.0)), 2);
        assert_eq!(Allocator::fitting(2, count(0.25)), 8);
    }
}
