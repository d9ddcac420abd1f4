// The CPU kernels, built once for each kind of vector unit: the file that includes this one says TF2_NAMESPACE and
// TF2_VECTOR_BYTES. No header of the C++ library comes in here: its inline functions, compiled for a wide vector unit,
// could be those that the linker keeps for everyone.
//
// A task is one head of one image, or some of its queries. Values are packed head by head into rows of whole vectors,
// unless they lie so already: they stay in the cache, and no channel count needs code of its own. In the backward a task
// alone writes its head's gradients, so that results do not depend on the number of threads.
#pragma once
#include "raw_samples.h"

namespace TF2_NAMESPACE {

// One head's tensors: element (row, channel) of a [N, rows, M, D] tensor is at(row) + channel.
struct HeadRows {
  int64_t first, stride;
  HeadRows(const Problem& p, const Task& task, int64_t rows)
      : first((task.image * rows * p.heads + task.head) * p.channels), stride(p.heads * p.channels) {}
  int64_t at(int64_t row) const { return first + row * stride; }
};

// A head's values, or other rows of its channels: whole units, filled up with zeros.
template <typename V>
struct PackedRows {
  int64_t units, length;  // of a row
  V* rows;

  PackedRows(Arena& arena, int64_t count, int64_t channels)
      : units((channels + Unit<V>::channels - 1) / Unit<V>::channels),
        length(units * Unit<V>::channels),
        rows(arena.take<V>(count * length)) {}

  template <typename From>
  void pack(int64_t row, const From* from, int64_t channels) {
    V* to = rows + row * length;
    for (int64_t i = 0; i < channels; ++i) convert(from[i], to[i]);
    for (int64_t i = channels; i < length; ++i) to[i] = V{};
  }
};

// One head's values → its outputs, for the task's queries; `Queries` knows where these look.
template <typename V, typename L, template <typename, typename> class Queries>
class Outputs {
  typedef typename Computed<V>::type T;
  typedef typename Unit<V>::Vector Vector;
  static constexpr int parts = Unit<V>::parts, channels = Unit<V>::channels;
  static constexpr int block = 8;  // queries looked at together: one would wait for its own locations' arithmetic

 public:
  Outputs(const Problem& p, Arena arena)
      : problem_(p), values_(arena, p.tokens, p.channels), samples_(arena, p, values_.length),
        queries_(arena, p, samples_),
        reads_(arena.take<Reads<T>>(block * samples_.vectors)), bytes(arena.used()) {}

  void run(const Task& task) {
    const Problem& p = problem_;
    set_values(HeadRows(p, task, p.tokens), static_cast<const V*>(p.value));
    samples_.set_levels(p);
    queries_.set_levels();
    for (int64_t q = task.first_query; q < task.last_query; q += block) {
      const int64_t end = q + block < task.last_query ? q + block : task.last_query;
      look(task, q, end);
      add(task, q, end);
    }
  }

 private:
  // One head alone, of whole vectors, is read where it lies.
  void set_values(const HeadRows& head, const V* value) {
    if (head.stride == problem_.channels && problem_.channels == values_.length) {
      read_ = value + head.first;
      return;
    }
    for (int64_t s = 0; s < problem_.tokens; ++s) values_.pack(s, value + head.at(s), problem_.channels);
    read_ = values_.rows;
  }

  TF2_INLINE void look(const Task& task, int64_t first, int64_t end) {
    for (int64_t q = first; q < end; ++q) queries_.look(task, q, block, reads_ + (q - first) * samples_.vectors);
  }

  TF2_INLINE void add(const Task& task, int64_t first, int64_t end) {
    const HeadRows output(problem_, task, problem_.queries);
    for (int64_t q = first; q < end; ++q) {
      const Reads<T>* reads = reads_ + (q - first) * samples_.vectors;
      V* out = static_cast<V*>(problem_.output) + output.at(q);
      for (int64_t unit = 0; unit < values_.units;)
        unit += values_.units - unit > 1 ? sum<2>(reads, unit, out) : sum<1>(reads, unit, out);
    }
  }

  // Each corner has sums of its own: additions that wait for one another would take four times as long.
  template <int units>
  TF2_INLINE int sum(const Reads<T>* reads, int64_t first, V* output) {
    Vector sums[4][units * parts] = {};
    const V* rows = read_ + first * channels;
    for (int64_t left = samples_.count; left > 0; left -= Reads<T>::width, ++reads)
      for (int i = 0; i < (left < Reads<T>::width ? left : Reads<T>::width); ++i)
#pragma GCC unroll 4
        for (int corner = 0; corner < 4; ++corner) {
          const V* row = rows + reads->offset[corner][i];
          const T scale = reads->scale[corner][i];
#pragma GCC unroll 4
          for (int part = 0; part < units * parts; ++part)
            sums[corner][part] += scale * Unit<V>::part(row + part / parts * channels, part % parts);
        }
#pragma GCC unroll 2
    for (int unit = 0; unit < units; ++unit) {
      Vector total[parts];
#pragma GCC unroll 2
      for (int i = 0, part = unit * parts; i < parts; ++i, ++part)
        total[i] = (sums[0][part] + sums[1][part]) + (sums[2][part] + sums[3][part]);
      write(total, first + unit, output);
    }
    return units;
  }

  // Of the last unit, only the channels that there are.
  TF2_INLINE void write(const Vector* sums, int64_t unit, V* output) {
    const int64_t left = problem_.channels - unit * channels;
    if (left >= channels) return Unit<V>::store(sums, output + unit * channels);
    V last[channels];
    Unit<V>::store(sums, last);
    for (int64_t i = 0; i < left; ++i) output[unit * channels + i] = last[i];
  }

  const Problem& problem_;
  PackedRows<V> values_;
  const V* read_ = nullptr;
  Samples<T, L> samples_;
  Queries<T, L> queries_;
  Reads<T>* reads_;

 public:
  const int64_t bytes;  // of scratch memory
};

template <typename V, typename L>
using Forward = Outputs<V, L, GivenSamples>;
template <typename V, typename L>
using Attend = Outputs<V, L, RawSamples>;

// One head's values and its output's gradients → the gradients of all inputs, computed in T.
template <typename V, typename L>
class Backward {
  typedef typename Computed<V>::type T;
  typedef typename Unit<T>::Vector Vector;
  static constexpr int length = Unit<T>::channels;

 public:
  Backward(const Problem& p, Arena arena)
      : problem_(p), values_(arena, p.tokens, p.channels), gradients_(arena, p.tokens, p.channels),
        upstream_(arena, 1, p.channels), samples_(arena, p, values_.length),
        reads_(arena.take<Reads<T>>(samples_.vectors)), slopes_(arena.take<Slopes<T>>(samples_.vectors)),
        bytes(arena.used()) {}

  void run(const Task& task) {
    const Problem& p = problem_;
    const HeadRows value(p, task, p.tokens), output(p, task, p.queries);
    for (int64_t s = 0; s < p.tokens; ++s) values_.pack(s, static_cast<const V*>(p.value) + value.at(s), p.channels);
    for (int64_t i = 0; i < p.tokens * values_.length; ++i) gradients_.rows[i] = T(0);
    for (int64_t v = 0; v < samples_.vectors; ++v) slopes_[v] = Slopes<T>{};
    samples_.set_levels(p);
    for (int64_t q = 0; q < p.queries; ++q) {
      const int64_t sample = first_sample(p, task, q);
      upstream_.pack(0, static_cast<const V*>(p.grad_output) + output.at(q), p.channels);
      samples_.look(static_cast<const L*>(p.locations) + 2 * sample, static_cast<const L*>(p.weights) + sample, reads_,
                    slopes_);
      for (int64_t i = 0; i < samples_.count; ++i) scatter(i / Reads<T>::width, i % Reads<T>::width);
      samples_.gradients(slopes_, static_cast<L*>(p.grad_locations) + 2 * sample,
                         static_cast<L*>(p.grad_weights) + sample);
    }
    for (int64_t s = 0; s < p.tokens; ++s) {
      V* to = static_cast<V*>(p.grad_value) + value.at(s);
      for (int64_t i = 0; i < p.channels; ++i) convert(gradients_.rows[s * gradients_.length + i], to[i]);
    }
  }

 private:
  // The four pixels of a sample: their products with the output's gradient, and their share of that gradient.
  TF2_INLINE void scatter(int64_t v, int64_t i) {
#pragma GCC unroll 4
    for (int corner = 0; corner < 4; ++corner) {
      const T* row = values_.rows + reads_[v].offset[corner][i];
      T* gradient = gradients_.rows + reads_[v].offset[corner][i];
      const T scale = reads_[v].scale[corner][i];
      Vector dots = {};
      for (int64_t at = 0; at < values_.length; at += length) {
        const Vector upstream = lanes<Vector>(upstream_.rows + at);
        dots += lanes<Vector>(row + at) * upstream;
        lanes<Vector>(gradient + at) += scale * upstream;
      }
      slopes_[v].dot[corner][i] = Total<T, length>::of(dots);
    }
  }

  const Problem& problem_;
  PackedRows<T> values_, gradients_, upstream_;
  Samples<T, L> samples_;
  Reads<T>* reads_;
  Slopes<T>* slopes_;

 public:
  const int64_t bytes;  // of scratch memory
};

template <template <typename, typename> class Kernel, typename V, typename L>
int64_t run(const Problem& problem, const Task& task, char* scratch) {
  Kernel<V, L> kernel(problem, Arena(scratch));
  if (scratch) kernel.run(task);
  return kernel.bytes;
}

template <template <typename, typename> class Kernel>
KernelFunction chosen(const Problem& p) {
  if (p.value_type == TF2_FLOAT64) return run<Kernel, double, double>;
  if (p.value_type == TF2_FLOAT32) return run<Kernel, float, float>;
  if (p.location_type == TF2_FLOAT32) return run<Kernel, BFloat16, float>;
  return run<Kernel, BFloat16, BFloat16>;
}

KernelFunction forward_kernel(const Problem& problem) { return chosen<Forward>(problem); }
KernelFunction backward_kernel(const Problem& problem) { return chosen<Backward>(problem); }
KernelFunction attend_kernel() { return run<Attend, float, float>; }

}  // namespace TF2_NAMESPACE
