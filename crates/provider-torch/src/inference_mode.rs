//! libtorch's inference mode for the calling thread.

use std::{ffi::c_void, ptr::NonNull};

unsafe extern "C" {
    fn imbed_inference_mode_enter() -> *mut c_void;
    fn imbed_inference_mode_leave(mode: *mut c_void);
}

/// While it lives, what this thread computes is recorded for no gradient: less memory and less time per operation.
///
/// The mode is the thread's own, and a raw pointer keeps the guard on it.
#[derive(Debug)]
pub(crate) struct InferenceMode(Option<NonNull<c_void>>);

impl InferenceMode {
    pub(crate) fn enter() -> Self {
        // SAFETY: the function takes nothing and gives a new object of C++, or ends the program where memory has run out.
        Self(NonNull::new(unsafe { imbed_inference_mode_enter() }))
    }
}

impl Drop for InferenceMode {
    fn drop(&mut self) {
        if let Some(mode) = self.0.take() {
            // SAFETY: it came from `enter`, on this thread, and is given back once.
            unsafe { imbed_inference_mode_leave(mode.as_ptr()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_is_made_within_is_an_inference_tensor_and_what_is_made_outside_is_not() {
        let made = || Tensor::f_zeros([1], (Kind::Float, Device::Cpu)).unwrap().f_is_inference().unwrap();
        {
            let _outer = InferenceMode::enter();
            let _inner = InferenceMode::enter();
            assert!(made());
            assert!(!std::thread::spawn(made).join().unwrap(), "another thread has its own mode");
        }
        assert!(!made());
    }
}
