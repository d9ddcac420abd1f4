// Packing: float32 numbers as one or two bfloat16 ones each, in the order in which the tiles read them.
#pragma once
#include <immintrin.h>

#include "product.h"

namespace tf2_products {
namespace {

inline bool within(int64_t at, int64_t size) { return uint64_t(at) < uint64_t(size); }

inline __mmask16 first_lanes(int64_t count) { return count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1; }

inline __m512 upper_halves(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// 32 numbers: their high parts and, with two terms, what those leave of them.
inline void split(__m512 a, __m512 b, int64_t terms, void* block) {
  const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(b, a);
  _mm512_storeu_si512(block, high);
  if (terms == 1) return;
  const __m512 rest_of_a = _mm512_sub_ps(a, upper_halves(_mm512_castsi512_si256(high)));
  const __m512 rest_of_b = _mm512_sub_ps(b, upper_halves(_mm512_extracti64x4_epi64(high, 1)));
  _mm512_storeu_si512(static_cast<char*>(block) + kTermBytes, (__m512i)_mm512_cvtne2ps_pbh(rest_of_b, rest_of_a));
}

// 32 numbers, of which there are `count`, perhaps none; zeros fill up.
inline void split(const float* from, int64_t count, int64_t terms, void* block) {
  if (count <= 0) return split(_mm512_setzero_ps(), _mm512_setzero_ps(), terms, block);
  const __m512 a = _mm512_maskz_loadu_ps(first_lanes(count), from);
  split(a, _mm512_maskz_loadu_ps(first_lanes(count - 16), from + 16), terms, block);
}

// [column][block of channels][tap][term][16 outputs][pair of channels][output][channel of the pair]
void pack_weights(const Product& p, const float* from, uint16_t* to) {
  const Taps taps(p);
  for (int64_t first = 0; first < p.out_channels; first += kBlock)
    for (int64_t channel = 0; channel < taps.channels; channel += kBlock)
      for (int64_t tap = 0; tap < taps.count(); ++tap, to += p.terms * kTermWeights)
        for (int64_t i = 0; i < kBlock; ++i) {
          const bool real = first + i < p.out_channels;
          const float* row = real ? from + ((first + i) * taps.count() + tap) * taps.channels : from;
          uint16_t parts[2 * kBlock];
          split(row + channel, real ? taps.channels - channel : 0, p.terms, parts);
          for (int64_t c = 0; c < p.terms * kBlock; ++c)
            to[(c / kBlock * 2 + i / 16) * kTile + c % kBlock / 2 * 32 + i % 16 * 2 + c % 2] = parts[c];
        }
}

// Pixels in the order in which they are packed, and outputs counted: which of the maps each is.
class Walk {
 public:
  int64_t image, line, column;

  Walk(const Plan& plan, int64_t pixel) : lines_(plan.y.length), columns_(plan.x.length) {
    image = pixel / columns_ / lines_;
    line = pixel / columns_ % lines_;
    column = pixel % columns_;
  }

  void next() {
    if (++column < columns_) return;
    column = 0;
    if (++line < lines_) return;
    line = 0;
    ++image;
  }

 private:
  const int64_t lines_, columns_;
};

class Packer {
 public:
  Packer(const Product& p, const Plan& plan) : p_(p), plan_(plan), taps_(plan.taps) {}

  // `count` pixels of a phase.
  void pack(int64_t phase, int64_t first, int64_t count, char* to) {
    const int64_t top = phase / plan_.x.phases - plan_.y.padding, left = phase % plan_.x.phases - plan_.x.padding;
    Walk at(plan_, first);
    for (int64_t i = 0; i < count; ++i, at.next(), to += plan_.input_bytes()) {
      const int64_t y = at.line * plan_.y.stride + top, x = at.column * plan_.x.stride + left;
      const bool real = at.image < p_.images && within(y, plan_.y.size);
      pack(real ? window(at.image * plan_.y.size + y, x) : nullptr, to);
    }
  }

 private:
  void pack(const float* from, char* to) const {
    for (int64_t channel = 0; channel < taps_.channels; channel += kBlock, to += plan_.terms * kTermBytes)
      split(from ? from + channel : nullptr, from ? taps_.channels - channel : 0, plan_.terms, to);
  }

  // A tap's numbers at x of a line of the input, or null where all are padding.
  const float* window(int64_t line, int64_t x) {
    const float* from = p_.input + (line * plan_.x.size + x) * p_.in_channels;
    if (taps_.window == 1) return within(x, plan_.x.size) ? from : nullptr;
    if (plan_.x.dilation == 1 && x >= 0 && x + taps_.window <= plan_.x.size) return from;
    for (int64_t i = 0; i < taps_.window; ++i, x += plan_.x.dilation, from += plan_.x.dilation * p_.in_channels)
      for (int64_t c = 0; c < p_.in_channels; ++c)
        window_[i * p_.in_channels + c] = within(x, plan_.x.size) ? from[c] : 0.0f;
    return window_;
  }

  const Product& p_;
  const Plan& plan_;
  const Taps taps_;
  float window_[kLongestWindow];
};

}  // namespace
}  // namespace tf2_products
