// Dropout. An element's draw follows from the seed and from its place: a backward pass needs no memory of it, and any
// thread may do any part. A number of 64 bits, mixed as SplitMix64 does (Steele, Lea and Flood, "Fast Splittable
// Pseudorandom Number Generators", 2014), decides on four elements.
#pragma once
#include "drop.h"
#include "lanes.h"

namespace TF2_NAMESPACE {

// The draws of as many elements as a vector holds draws, one after another.
class Draws {
  typedef typename VectorOf<uint64_t, TF2_VECTOR_BYTES / 8>::type Numbers;
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;

 public:
  static constexpr int count = TF2_VECTOR_BYTES / 2;

  // From element `first` on, a multiple of four.
  Draws(uint64_t seed, int64_t first) {
    for (int i = 0; i < count / 4; ++i) state_[i] = seed + (uint64_t(first) / 4 + i + 1) * kStep;
  }

  TF2_INLINE void next(int16_t* draws) {
    Numbers x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    store(x ^ (x >> 31), draws);
    state_ += kStep * (count / 4);
  }

 private:
  Numbers state_;
};

struct DropStep {
  typedef Vectors<float>::Real Real;
  typedef Vectors<float>::Int Int;
  const Drop& p;

  TF2_INLINE Real kept(Real x, Int draws) const {
    const Real zero = {};
    if (p.relu) x = x < zero ? zero : x;  // NaN stays
    return draws < Int{} + int32_t(p.limit) ? zero : x * p.scale;
  }

  TF2_INLINE void run(const int16_t* draws, const float* from, float* to) const {
    typedef VectorOf<int16_t, Vectors<float>::width>::type Part;
    for (int i = 0; i < Draws::count; i += Vectors<float>::width)
      store(kept(loaded<Real>(from + i), __builtin_convertvector(loaded<Part>(draws + i), Int)), to + i);
  }

  TF2_INLINE void run(const int16_t* draws, const BFloat16* from, BFloat16* to) const {
    const Int pairs = loaded<Int>(draws);
    const Real both[2] = {kept(Unit<BFloat16>::part(from, 0), pairs << 16 >> 16),
                          kept(Unit<BFloat16>::part(from, 1), pairs >> 16)};
    Unit<BFloat16>::store(both, to);
  }
};

template <typename V>
void drop(const Drop& p, int64_t first, int64_t count) {
  const V* from = static_cast<const V*>(p.input) + first;
  V* to = static_cast<V*>(p.output) + first;
  const DropStep step = {p};
  Draws all(p.seed, first);
  int16_t draws[Draws::count];
  for (; count >= Draws::count; count -= Draws::count, from += Draws::count, to += Draws::count) {
    all.next(draws);
    step.run(draws, from, to);
  }
  V rest[Draws::count] = {};
  for (int64_t i = 0; i < count; ++i) rest[i] = from[i];
  all.next(draws);
  step.run(draws, rest, rest);
  for (int64_t i = 0; i < count; ++i) to[i] = rest[i];
}

DropFunction drop_kernel(const Drop& p) { return p.type == TF2_FLOAT32 ? drop<float> : drop<BFloat16>; }

}  // namespace TF2_NAMESPACE
