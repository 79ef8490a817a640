// Pinned copies of tensors. tch's own call names a device, which libtorch warns about on standard error each time.

#include <ATen/ATen.h>

// A copy in memory that a GPU reads by itself, to be owned by the caller; null where there is none to be had.
extern "C" at::Tensor *imbed_pinned(const at::Tensor *tensor) noexcept {
    try {
        return new at::Tensor(tensor->pin_memory());
    } catch (...) {
        return nullptr;
    }
}
