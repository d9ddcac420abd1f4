// Locations and weights made where they are used, from what two linear layers gave: for inference, in which their tensors
// would cost more time than the operator.
#pragma once
#include "samples.h"

namespace TF2_NAMESPACE {

// Location: reference point + offset / size of the level, or centre of the reference box + offset / points · size of the
// box / 2 (Deformable-DETR, eq. 3 and §A.4). Weights: softmax of the logits.
template <typename T, typename>
class RawSamples {
  typedef Vectors<T> N;
  typedef typename N::Real Real;
  typedef typename N::Int Int;
  static constexpr int64_t unit = 16;  // problem.h: whole vectors of every build

 public:
  RawSamples(Arena& arena, const Problem& p, const Samples<T, T>& samples)
      : problem_(p), samples_(samples), length_((samples.count + unit - 1) / unit * unit),
        parts_(arena.take<Part>(samples.vectors)), weights_(arena.take<Real>(samples.vectors)) {}

  void set_levels() {
    const Problem& p = problem_;
    for (int64_t v = 0; v < samples_.vectors; ++v) {
      Part& part = parts_[v];
      for (int64_t lane = 0; lane < N::width; ++lane) {
        const int64_t i = v * N::width + lane, level = i < samples_.count ? i / p.points : p.levels - 1;
        if (lane == 0) part.first_level = level;
        part.last_level = level;
        part.level[lane] = level;
        part.present[lane] = i < samples_.count ? -1 : 0;
        const bool boxes = p.reference_numbers == 4;
        part.scale[0][lane] = T(1) / (boxes ? 2 * p.points : p.shapes[2 * level + 1]);
        part.scale[1][lane] = T(1) / (boxes ? 2 * p.points : p.shapes[2 * level]);
      }
    }
  }

  // `ahead`: in how many queries' time another will be asked for.
  TF2_INLINE void look(const Task& task, int64_t query, int64_t ahead, Reads<T>* reads) const {
    const T* raw = of_query(task, query);
    const T* later = of_query(task, query + ahead);
    for (int64_t i = 0; i < 3 * length_; i += 64 / sizeof(T)) __builtin_prefetch(later + i);
    const int64_t row = task.image * problem_.queries + query;
    const T* reference = static_cast<const T*>(problem_.reference) + row * problem_.levels * problem_.reference_numbers;
    const T share = softmax(raw + 2 * length_);
    for (int64_t v = 0; v < samples_.vectors; ++v) {
      const Real x = location(v, 0, raw, reference), y = location(v, 1, raw + length_, reference + 1);
      samples_.look(v, x, y, weights_[v] * share, reads[v]);
    }
  }

 private:
  // What is the same for all queries, of one vector of samples.
  struct Part {
    Int level, present;
    Real scale[2];  // of an offset, x and y
    int64_t first_level, last_level;
  };

  TF2_INLINE const T* of_query(const Task& task, int64_t query) const {
    const int64_t row = (task.image * problem_.queries + query) * problem_.heads + task.head;
    return static_cast<const T*>(problem_.raw) + row * 3 * length_;
  }

  TF2_INLINE Real location(int64_t v, int axis, const T* offsets, const T* reference) const {
    Real offset = loaded<Real>(offsets + v * N::width) * parts_[v].scale[axis];
    if (problem_.reference_numbers == 4) offset *= of_levels(v, reference + 2);
    return of_levels(v, reference) + offset;
  }

  // A number of the reference, which is another for each level.
  TF2_INLINE Real of_levels(int64_t v, const T* reference) const {
    const Part& part = parts_[v];
    const int64_t step = problem_.reference_numbers;
    Real numbers = Real{} + reference[part.first_level * step];
    for (int64_t level = part.first_level + 1; level <= part.last_level; ++level)
      numbers = part.level >= Int{} + typename WholeOf<T>::type(level) ? Real{} + reference[level * step] : numbers;
    return numbers;
  }

  // Fills weights_, which are to be multiplied with the result.
  TF2_INLINE T softmax(const T* logits) const {
    const Real lowest = Real{} - T(3e38);
    Real most = lowest, sum = {};
    for (int64_t v = 0; v < samples_.vectors; ++v) {
      weights_[v] = parts_[v].present ? loaded<Real>(logits + v * N::width) : lowest;
      most = most > weights_[v] ? most : weights_[v];
    }
    const T largest = Largest<T, N::width>::of(most);
    for (int64_t v = 0; v < samples_.vectors; ++v) {
      weights_[v] = parts_[v].present ? exponential(weights_[v] - largest) : Real{};
      sum += weights_[v];
    }
    return T(1) / Total<T, N::width>::of(sum);
  }

  const Problem& problem_;
  const Samples<T, T>& samples_;
  const int64_t length_;
  Part* parts_;
  Real* weights_;
};

}  // namespace TF2_NAMESPACE
