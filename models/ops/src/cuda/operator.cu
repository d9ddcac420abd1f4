// The CUDA library: forward and backward for float, double, bfloat16 and half (functions/compiled.py calls). It needs no
// header of PyTorch, so that no release of PyTorch breaks it.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "../problem.h"
#include "../sample.h"

namespace {

using tf2::Corners;
using tf2::Scalars;

constexpr int kThreads = 256, kWarp = 32, kMaxLevels = 16;

// A Problem as kernels take it: the levels' shapes with it, because `shapes` is in the host's memory.
struct Call {
  Problem problem;
  int height[kMaxLevels], width[kMaxLevels];
  int64_t start[kMaxLevels];  // first token of each level
};

template <typename V>
struct Computed {
  typedef float type;
};
template <>
struct Computed<double> {
  typedef double type;
};

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ void narrow(float x, float& to) { to = x; }
__device__ __forceinline__ void narrow(double x, double& to) { to = x; }
__device__ __forceinline__ void narrow(float x, __half& to) { to = __float2half_rn(x); }
__device__ __forceinline__ void narrow(float x, __nv_bfloat16& to) { to = __float2bfloat16_rn(x); }

// One query and head: its samples, and where its image's values of that head begin.
template <typename T, typename L>
struct Query {
  const L *locations, *weights;
  int64_t first_value, value_stride, first_sample;

  __device__ Query(const Problem& p, int64_t index) {  // index of [N, Lq, M]
    first_sample = index * p.levels * p.points;
    locations = static_cast<const L*>(p.locations) + 2 * first_sample;
    weights = static_cast<const L*>(p.weights) + first_sample;
    const int64_t head = index % p.heads, image = index / p.heads / p.queries;
    first_value = (image * p.tokens * p.heads + head) * p.channels;
    value_stride = p.heads * p.channels;
  }

  __device__ Corners<Scalars<T>> corners(const Call& call, int64_t level, int64_t sample) const {
    return tf2::corners_of<Scalars<T>>(widen(locations[2 * sample]), widen(locations[2 * sample + 1]),
                                       {call.height[level], call.width[level], call.width[level], 1});
  }
};

// A thread for each element of the output: neighbouring threads read neighbouring channels.
template <typename V, typename L>
__global__ void forward(const Call call, int64_t count) {
  typedef typename Computed<V>::type T;
  const Problem& p = call.problem;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    const Query<T, L> query(p, i / p.channels);
    const V* values = static_cast<const V*>(p.value) + query.first_value + i % p.channels;
    T sum = 0;
    for (int64_t sample = 0, level = 0; level < p.levels; ++level)
      for (int64_t point = 0; point < p.points; ++point, ++sample) {
        const Corners<Scalars<T>> corners = query.corners(call, level, sample);
        T pixels = 0;
        for (int corner = 0; corner < 4; ++corner)
          pixels += corners.share[corner] *
                    widen(values[(call.start[level] + corners.place[corner]) * query.value_stride]);
        sum += widen(query.weights[sample]) * pixels;
      }
    narrow(sum, static_cast<V*>(p.output)[i]);
  }
}

// A warp for each query and head: its threads share the channels. grad_value, of type T, is zero before.
template <typename V, typename L>
__global__ void backward(const Call call, int64_t count) {
  typedef typename Computed<V>::type T;
  const Problem& p = call.problem;
  const int lane = threadIdx.x % kWarp;
  const int64_t warps = int64_t(gridDim.x) * blockDim.x / kWarp;
  for (int64_t i = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / kWarp; i < count; i += warps) {
    const Query<T, L> query(p, i);
    const V* values = static_cast<const V*>(p.value) + query.first_value;
    T* grad_values = static_cast<T*>(p.grad_value) + query.first_value;
    const V* upstream = static_cast<const V*>(p.grad_output) + i * p.channels;
    for (int64_t sample = 0, level = 0; level < p.levels; ++level)
      for (int64_t point = 0; point < p.points; ++point, ++sample) {
        const Corners<Scalars<T>> corners = query.corners(call, level, sample);
        const T weight = widen(query.weights[sample]);
        T dots[4] = {0, 0, 0, 0};
        for (int corner = 0; corner < 4; ++corner) {
          const int64_t row = (call.start[level] + corners.place[corner]) * query.value_stride;
          for (int64_t channel = lane; channel < p.channels; channel += kWarp) {
            const T gradient = widen(upstream[channel]);
            dots[corner] += gradient * widen(values[row + channel]);
            if (corners.share[corner] != T(0))
              atomicAdd(grad_values + row + channel, gradient * weight * corners.share[corner]);
          }
          for (int step = kWarp / 2; step; step /= 2) dots[corner] += __shfl_xor_sync(0xffffffffu, dots[corner], step);
        }
        if (lane == 0) {
          const auto gradients = tf2::gradients_of<Scalars<T>>(corners, dots, weight);
          const int64_t at = query.first_sample + sample;
          narrow(gradients.x, static_cast<L*>(p.grad_locations)[2 * at]);
          narrow(gradients.y, static_cast<L*>(p.grad_locations)[2 * at + 1]);
          narrow(gradients.weight, static_cast<L*>(p.grad_weights)[at]);
        }
      }
  }
}

typedef void (*KernelFunction)(const Call, int64_t);

KernelFunction forward_kernel(const Problem& p) {
  const bool as_value = p.location_type == p.value_type;
  switch (p.value_type) {
    case TF2_FLOAT64: return forward<double, double>;
    case TF2_BFLOAT16: return as_value ? forward<__nv_bfloat16, __nv_bfloat16> : forward<__nv_bfloat16, float>;
    case TF2_FLOAT16: return as_value ? forward<__half, __half> : forward<__half, float>;
    default: return forward<float, float>;
  }
}

KernelFunction backward_kernel(const Problem& p) {
  const bool as_value = p.location_type == p.value_type;
  switch (p.value_type) {
    case TF2_FLOAT64: return backward<double, double>;
    case TF2_BFLOAT16: return as_value ? backward<__nv_bfloat16, __nv_bfloat16> : backward<__nv_bfloat16, float>;
    case TF2_FLOAT16: return as_value ? backward<__half, __half> : backward<__half, float>;
    default: return backward<float, float>;
  }
}

// `count` items of `threads` threads each, on a stream of the current device.
int launch(KernelFunction kernel, const Problem& p, int64_t count, int64_t threads, void* stream) {
  if (p.levels > kMaxLevels) return cudaErrorInvalidValue;
  Call call = {p, {}, {}, {}};
  for (int64_t level = 0, start = 0; level < p.levels; ++level) {
    call.height[level] = int(p.shapes[2 * level]);
    call.width[level] = int(p.shapes[2 * level + 1]);
    call.start[level] = start;
    start += p.shapes[2 * level] * p.shapes[2 * level + 1];
  }
  const int64_t blocks = std::min<int64_t>((count * threads + kThreads - 1) / kThreads, 1 << 30);
  kernel<<<dim3(unsigned(blocks)), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(call, count);
  return cudaGetLastError();
}

}  // namespace

extern "C" {

// All return 0, or CUDA's error code. grad_value is [N, S, M, D] of float, or of double where value is.
int tf2_cuda_forward(const Problem* p, void* stream) {
  return launch(forward_kernel(*p), *p, p->batch * p->queries * p->heads * p->channels, 1, stream);
}

int tf2_cuda_backward(const Problem* p, void* stream) {
  return launch(backward_kernel(*p), *p, p->batch * p->queries * p->heads, kWarp, stream);
}

const char* tf2_sources() { return TF2_SOURCES; }
}
