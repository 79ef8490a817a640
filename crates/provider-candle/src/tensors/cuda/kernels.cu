// What a vision transformer does between its products, one pass through memory each. Every number is computed in f32 and rounded
// once, to the nearest, when it is stored.
//
// A kernel is there for each number type, with packs of 16 bytes and with single numbers: NAME_TYPE_PACK, such as heads_bf16_8.
// All tensors are contiguous; sizes are counts of numbers.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

__device__ __forceinline__ float wide(float x) { return x; }
__device__ __forceinline__ float wide(__half x) { return __half2float(x); }
__device__ __forceinline__ float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ void round_to(float x, float *out) { *out = x; }
__device__ __forceinline__ void round_to(float x, __half *out) { *out = __float2half_rn(x); }
__device__ __forceinline__ void round_to(float x, __nv_bfloat16 *out) { *out = __float2bfloat16_rn(x); }

template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

template <typename T, int N> __device__ __forceinline__ Pack<T, N> load(const T *from) {
    return *reinterpret_cast<const Pack<T, N> *>(from);
}

template <typename T, int N> __device__ __forceinline__ void store(T *to, const Pack<T, N> &pack) {
    *reinterpret_cast<Pack<T, N> *>(to) = pack;
}

__device__ __forceinline__ float sum_of_warp(float x) {
    for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffff, x, lanes);
    return x;
}

// The numbers that function() in ../cuda.rs gives.
__device__ __forceinline__ float activated(float x, int function) {
    switch (function) {
    case 1: return x / (1.0f + expf(-1.702f * x));                                      // quick GELU
    case 2: return 0.5f * x * (1.0f + erff(x * 0.70710678f));                              // GELU
    case 3: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));   // GELU, by tanh
    case 4: return fmaxf(x, 0.0f);                                                         // ReLU
    case 5: return x / (1.0f + expf(-x));                                                // SiLU
    case 6: return tanhf(x);
    default: return x;
    }
}

// out[row, column] = function(x[row, column] + bias[column])
template <typename T, int N>
__device__ void bias(const T *x, const T *bias, T *out, unsigned size, unsigned columns, int function) {
    unsigned step = gridDim.x * blockDim.x * N;
    for (unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * N; i < size; i += step) {
        Pack<T, N> numbers = load<T, N>(x + i), more = load<T, N>(bias + i % columns);
#pragma unroll
        for (int k = 0; k < N; k++) round_to(activated(wide(numbers.at[k]) + wide(more.at[k]), function), &numbers.at[k]);
        store<T, N>(out + i, numbers);
    }
}

// out[0] = x + (product + bias), out[1] = the norm of that over its columns; a warp for each row.
template <typename T, int N>
__device__ void add_norm(const T *x, const T *product, const T *bias, const T *weight, const T *shift, T *out, unsigned rows,
                         unsigned columns, float eps, int root_mean_square) {
    unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, first = threadIdx.x % 32 * N;
    if (row >= rows) return;
    size_t start = (size_t)row * columns;
    T *sums = out + start, *normed = out + (size_t)rows * columns + start;
    float total = 0.0f;
    for (unsigned c = first; c < columns; c += 32 * N) {
        Pack<T, N> a = load<T, N>(x + start + c), b = load<T, N>(product + start + c), more = load<T, N>(bias + c);
#pragma unroll
        for (int k = 0; k < N; k++) {
            round_to(wide(a.at[k]) + (wide(b.at[k]) + wide(more.at[k])), &a.at[k]);
            total += wide(a.at[k]);
        }
        store<T, N>(sums + c, a);
    }
    float mean = root_mean_square ? 0.0f : sum_of_warp(total) / columns, squares = 0.0f;
    // A thread reads again what it wrote itself.
    for (unsigned c = first; c < columns; c += 32 * N) {
        Pack<T, N> a = load<T, N>(sums + c);
#pragma unroll
        for (int k = 0; k < N; k++) {
            float from_mean = wide(a.at[k]) - mean;
            squares += from_mean * from_mean;
        }
    }
    float scale = rsqrtf(sum_of_warp(squares) / columns + eps);
    for (unsigned c = first; c < columns; c += 32 * N) {
        Pack<T, N> a = load<T, N>(sums + c), by = load<T, N>(weight + c), more = load<T, N>(shift + c);
#pragma unroll
        for (int k = 0; k < N; k++) {
            round_to((wide(a.at[k]) - mean) * scale * wide(by.at[k]) + wide(more.at[k]), &a.at[k]);
        }
        store<T, N>(normed + c, a);
    }
}

// out[part, image, head, token, i] = x[image, token, part, head, i] + bias[part, head, i]
template <typename T, int N>
__device__ void heads(const T *x, const T *bias, T *out, unsigned images, unsigned tokens, unsigned parts, unsigned heads,
                      unsigned width) {
    unsigned size = images * tokens * parts * heads * width, step = gridDim.x * blockDim.x * N;
    for (unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * N; i < size; i += step) {
        unsigned at = i % width, rest = i / width;
        unsigned token = rest % tokens;
        rest /= tokens;
        unsigned head = rest % heads;
        rest /= heads;
        unsigned image = rest % images, part = rest / images;
        unsigned column = (part * heads + head) * width + at;
        Pack<T, N> numbers = load<T, N>(x + (image * tokens + token) * parts * heads * width + column);
        Pack<T, N> more = load<T, N>(bias + column);
#pragma unroll
        for (int k = 0; k < N; k++) round_to(wide(numbers.at[k]) + wide(more.at[k]), &numbers.at[k]);
        store<T, N>(out + i, numbers);
    }
}

// out[image, token, head, i] = x[image, head, token, i]
template <typename T, int N>
__device__ void joined(const T *x, T *out, unsigned images, unsigned tokens, unsigned heads, unsigned width) {
    unsigned size = images * tokens * heads * width, step = gridDim.x * blockDim.x * N;
    for (unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * N; i < size; i += step) {
        unsigned at = i % width, rest = i / width;
        unsigned head = rest % heads;
        rest /= heads;
        unsigned token = rest % tokens, image = rest / tokens;
        store<T, N>(out + i, load<T, N>(x + ((image * heads + head) * tokens + token) * width + at));
    }
}

struct Channels { float at[3]; };

// out[image, patch, channel, y, x] = pixels[image, row, column, channel] * factor - shift, for patches of high x wide pixels in
// rows of across, each `down` of which are an image.
template <typename T>
__device__ void patches(const uint8_t *pixels, T *out, unsigned images, unsigned height, unsigned width, unsigned down,
                        unsigned across, unsigned high, unsigned wide_, Channels factor, Channels shift) {
    unsigned size = images * down * across * 3 * high * wide_;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        unsigned x = i % wide_, rest = i / wide_;
        unsigned y = rest % high;
        rest /= high;
        unsigned channel = rest % 3;
        rest /= 3;
        unsigned column = rest % across;
        rest /= across;
        unsigned row = rest % down, image = rest / down;
        unsigned at = ((image * height + row * high + y) * width + column * wide_ + x) * 3 + channel;
        round_to(pixels[at] * factor.at[channel] - shift.at[channel], &out[i]);
    }
}

#define KERNELS(T, TYPE, N)                                                                                                     \
    extern "C" __global__ void bias_##TYPE##_##N(const T *x, const T *b, T *out, unsigned size, unsigned columns, int f) {      \
        bias<T, N>(x, b, out, size, columns, f);                                                                                \
    }                                                                                                                           \
    extern "C" __global__ void add_norm_##TYPE##_##N(const T *x, const T *product, const T *b, const T *weight, const T *shift, \
                                                     T *out, unsigned rows, unsigned columns, float eps, int rms) {             \
        add_norm<T, N>(x, product, b, weight, shift, out, rows, columns, eps, rms);                                             \
    }                                                                                                                           \
    extern "C" __global__ void heads_##TYPE##_##N(const T *x, const T *b, T *out, unsigned images, unsigned tokens,             \
                                                  unsigned parts, unsigned many, unsigned width) {                              \
        heads<T, N>(x, b, out, images, tokens, parts, many, width);                                                             \
    }                                                                                                                           \
    extern "C" __global__ void joined_##TYPE##_##N(const T *x, T *out, unsigned images, unsigned tokens, unsigned many,         \
                                                   unsigned width) {                                                            \
        joined<T, N>(x, out, images, tokens, many, width);                                                                      \
    }

#define PATCHES(T, TYPE)                                                                                                        \
    extern "C" __global__ void patches_##TYPE##_1(const uint8_t *pixels, T *out, unsigned images, unsigned height,              \
                                                  unsigned width, unsigned down, unsigned across, unsigned high,                \
                                                  unsigned wide_, float f0, float f1, float f2, float s0, float s1, float s2) { \
        patches<T>(pixels, out, images, height, width, down, across, high, wide_, Channels{{f0, f1, f2}},                       \
                   Channels{{s0, s1, s2}});                                                                                     \
    }

KERNELS(float, f32, 4)
KERNELS(float, f32, 1)
KERNELS(__half, f16, 8)
KERNELS(__half, f16, 1)
KERNELS(__nv_bfloat16, bf16, 8)
KERNELS(__nv_bfloat16, bf16, 1)
PATCHES(float, f32)
PATCHES(__half, f16)
PATCHES(__nv_bfloat16, bf16)
