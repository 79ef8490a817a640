//! GPUs: which exist, which may be used, and who holds them.

mod allocator;
mod choose;
mod inventory;

pub use allocator::{Allocator, Lease};
pub(crate) use choose::choose;
pub use inventory::{FixedInventory, GpuInventory, SystemInventory};
