//! Copies in memory that a GPU reads by itself.

use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn imbed_pinned(tensor: *const C_tensor) -> *mut C_tensor;
}

/// A pinned copy of `tensor`, which is in the processor's memory; `None` where there is no such memory to be had.
pub(crate) fn pinned(tensor: &Tensor) -> Option<Tensor> {
    // SAFETY: the pointer is that of a living tensor, which the function only reads; what it gives is null or a new tensor that
    // nobody else holds.
    unsafe {
        let copy = imbed_pinned(tensor.as_ptr());
        (!copy.is_null()).then(|| Tensor::from_ptr(copy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;

    #[test]
    fn a_copy_has_the_same_numbers_where_there_is_a_gpu_and_is_none_where_there_is_not() {
        runtime::start();
        let tensor = Tensor::from_slice(&[1_u8, 2, 3]);
        match pinned(&tensor) {
            Some(copy) => assert_eq!(Vec::<u8>::try_from(copy).unwrap(), [1, 2, 3]),
            None => assert!(runtime::cuda_devices().is_err()),
        }
    }
}
