// libtorch's inference mode, which tch does not offer: no record for gradients and no version counters.

#include <c10/core/InferenceMode.h>

extern "C" {

void *imbed_inference_mode_enter() noexcept { return new c10::InferenceMode(true); }

void imbed_inference_mode_leave(void *mode) noexcept { delete static_cast<c10::InferenceMode *>(mode); }

}
