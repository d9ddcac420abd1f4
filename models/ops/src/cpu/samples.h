// Where a query looks in a head's packed values, and what each pixel counts.
#pragma once
#include "lanes.h"
#include "task.h"

namespace TF2_NAMESPACE {

// Hands out the parts of a block of memory; with no block, it counts the bytes.
class Arena {
 public:
  explicit Arena(char* block) : block_(block) {}
  template <typename T>
  T* take(int64_t count) {
    T* part = reinterpret_cast<T*>(block_ + used_);
    used_ += (count * sizeof(T) + 63) / 64 * 64;
    return part;
  }
  int64_t used() const { return used_; }

 private:
  char* block_;
  int64_t used_ = 0;
};

// Index of a query's first sample in the weights.
TF2_INLINE int64_t first_sample(const Problem& p, const Task& task, int64_t query) {
  return ((task.image * p.queries + query) * p.heads + task.head) * p.levels * p.points;
}

// The samples of a query and head, of all levels and points, as many at a time as a vector holds.
template <typename T>
struct Reads {
  static constexpr int width = Vectors<T>::width;
  typename WholeOf<T>::type offset[4][width];  // of each sample's four pixels, in elements of the packed rows
  T scale[4][width];                           // bilinear share × attention weight
};

// What the gradients of a query's samples need beside.
template <typename T>
struct Slopes {
  Corners<Vectors<T>> corners;
  typename Vectors<T>::Real weight;
  typename Vectors<T>::Real dot[4];  // output's gradient · pixel's value
};

template <typename T, typename L>
class Samples {
  typedef Vectors<T> N;
  typedef typename N::Real Real;
  typedef typename N::Int Int;
  typedef typename WholeOf<T>::type Whole;

 public:
  int64_t count, vectors;  // of a query's samples

  Samples(Arena& arena, const Problem& p, int64_t row_length)
      : count(p.levels * p.points), vectors((count + N::width - 1) / N::width), row_length_(row_length) {
    levels_ = arena.take<Level<N>>(vectors);
    starts_ = arena.take<Int>(vectors);
  }

  // Once a task: which level each sample looks at. Those that only fill the last vector look at the last.
  void set_levels(const Problem& p) {
    int64_t start = 0;
    for (int64_t i = 0; i < vectors * N::width; ++i) {
      const int64_t level = i < count ? i / p.points : p.levels - 1, v = i / N::width, lane = i % N::width;
      if (i && i < count && i % p.points == 0) start += p.shapes[2 * level - 2] * p.shapes[2 * level - 1];
      levels_[v].height[lane] = Whole(p.shapes[2 * level]);
      levels_[v].width[lane] = Whole(p.shapes[2 * level + 1]);
      levels_[v].row_stride[lane] = Whole(p.shapes[2 * level + 1] * row_length_);
      levels_[v].column_stride[lane] = Whole(row_length_);
      starts_[v][lane] = Whole(start * row_length_);
    }
  }

  // Ahead of look(): a head's samples lie too far apart for the processor to guess the next.
  TF2_INLINE void prefetch(const L* locations, const L* weights) const {
    for (int64_t i = 0; i < 2 * count; i += 64 / sizeof(L)) __builtin_prefetch(locations + i);
    for (int64_t i = 0; i < count; i += 64 / sizeof(L)) __builtin_prefetch(weights + i);
  }

  // Where a query's samples lie and what they count: `vectors` Reads, and, where there are gradients, Slopes.
  TF2_INLINE void look(const L* locations, const L* weights, Reads<T>* reads, Slopes<T>* slopes) const {
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t first = v * N::width;
      Real x, y, weight;
      read(locations + 2 * first, weights + first, count - first, x, y, weight);
      const Corners<N> corners = look(v, x, y, weight, reads[v]);
      if (slopes) {
        slopes[v].corners = corners;
        slopes[v].weight = weight;
      }
    }
  }

  // One vector of samples.
  TF2_INLINE Corners<N> look(int64_t v, const Real& x, const Real& y, const Real& weight, Reads<T>& reads) const {
    const Corners<N> corners = corners_of<N>(x, y, levels_[v]);
    for (int corner = 0; corner < 4; ++corner) {
      lanes<Int>(reads.offset[corner]) = starts_[v] + corners.place[corner];
      lanes<Real>(reads.scale[corner]) = corners.share[corner] * weight;
    }
    return corners;
  }

  // After `dot` is filled: the gradients of what look() was given.
  TF2_INLINE void gradients(const Slopes<T>* slopes, L* locations, L* weights) const {
    for (int64_t v = 0; v < vectors; ++v) {
      const SampleGradients<N> sample =
          gradients_of<N>(slopes[v].corners, slopes[v].dot, slopes[v].weight);
      for (int64_t i = v * N::width; i < count && i < (v + 1) * N::width; ++i) {
        convert(sample.x[i - v * N::width], locations[2 * i]);
        convert(sample.y[i - v * N::width], locations[2 * i + 1]);
        convert(sample.weight[i - v * N::width], weights[i]);
      }
    }
  }

 private:
  // A vector of samples; where fewer are `left`, zeros fill it.
  static TF2_INLINE void read(const L* locations, const L* weights, int64_t left, Real& x, Real& y, Real& weight) {
    L last_locations[2 * N::width], last_weights[N::width];
    if (left < N::width) {
      for (int64_t i = 0; i < 2 * N::width; ++i) last_locations[i] = i < 2 * left ? locations[i] : L{};
      for (int64_t i = 0; i < N::width; ++i) last_weights[i] = i < left ? weights[i] : L{};
      locations = last_locations;
      weights = last_weights;
    }
    load_pairs(locations, x, y);
    load(weights, weight);
  }

  int64_t row_length_;
  Level<N>* levels_;  // of each sample
  Int* starts_;       // where its level begins in the packed rows
};

// Locations and weights as the caller has them.
template <typename T, typename L>
class GivenSamples {
 public:
  GivenSamples(Arena&, const Problem& p, const Samples<T, L>& samples) : problem_(p), samples_(samples) {}
  void set_levels() {}

  // `ahead`: in how many queries' time another will be asked for.
  TF2_INLINE void look(const Task& task, int64_t query, int64_t ahead, Reads<T>* reads) const {
    const L* locations = static_cast<const L*>(problem_.locations);
    const L* weights = static_cast<const L*>(problem_.weights);
    const int64_t sample = first_sample(problem_, task, query), later = first_sample(problem_, task, query + ahead);
    samples_.prefetch(locations + 2 * later, weights + later);
    samples_.look(locations + 2 * sample, weights + sample, reads, nullptr);
  }

 private:
  const Problem& problem_;
  const Samples<T, L>& samples_;
};

}  // namespace TF2_NAMESPACE
