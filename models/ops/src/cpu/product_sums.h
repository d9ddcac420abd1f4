// Multiplying on tiles: packed pixels × packed weights → sums, and where those go.
#pragma once
#include <immintrin.h>

#include "lanes.h"
#include "product_pixels.h"

namespace tf2_products {
namespace {

// ---- tiles: 0 to 3 hold the sums of 32 pixels × 32 outputs, 4 and 5 pixels, 6 and 7 weights

struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

constexpr int64_t kRow = kBlock * 4;  // bytes of a pixel's sums

inline void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

inline void load_sums(const float* sums) {
  _tile_loadd(0, sums, kRow);
  _tile_loadd(1, sums + 16, kRow);
  _tile_loadd(2, sums + 16 * kBlock, kRow);
  _tile_loadd(3, sums + 16 * kBlock + 16, kRow);
}

inline void store_sums(float* sums) {
  _tile_stored(0, sums, kRow);
  _tile_stored(1, sums + 16, kRow);
  _tile_stored(2, sums + 16 * kBlock, kRow);
  _tile_stored(3, sums + 16 * kBlock + 16, kRow);
}

inline void multiply_tiles() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

inline void load_pixels(const char* pixels, int64_t pixel) {
  _tile_loadd(4, pixels, pixel);
  _tile_loadd(5, pixels + 16 * pixel, pixel);
}

inline void load_weights(const uint16_t* weights) {
  _tile_loadd(6, weights, 64);
  _tile_loadd(7, weights + kTile, 64);
}

// high · low + high · high + low · high, or high · high alone; `pixel`: bytes from one to the next.
inline void add_step(const char* pixels, int64_t pixel, const uint16_t* weights, int64_t terms) {
  load_pixels(pixels, pixel);
  if (terms == 2) {
    load_weights(weights + kTermWeights);
    multiply_tiles();
  }
  load_weights(weights);
  multiply_tiles();
  if (terms == 2) {
    load_pixels(pixels + kTermBytes, pixel);
    multiply_tiles();
  }
}

// ---- where a pixel's 32 sums go

class Output {
 public:
  // places: of a task's pixels in the output, -1 for dropped ones.
  Output(const Product& p, const Plan& plan, const int64_t* places) : p_(p), places_(places), streams_(plan.streams) {}

  void take(const float* sums, int64_t pixel, int64_t column) const {
    if (places_[pixel] < 0) return;
    const int64_t channel = column * kBlock, at = places_[pixel] * p_.out_channels;
    write(sums, channel, at + channel);
    write(sums + 16, channel + 16, at + channel + 16);
  }

 private:
  void write(const float* sums, int64_t channel, int64_t at) const {
    const __mmask16 lanes = first_lanes(p_.out_channels - channel);
    __m512 value = _mm512_load_ps(sums);
    if (p_.bias) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, p_.bias + channel));
    if (p_.added) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, p_.added + at));
    if (p_.relu) value = _mm512_max_ps(_mm512_setzero_ps(), value);  // the second one's NaN stays
    float* to = p_.output + at;
    if (streams_ && lanes == 0xffff && reinterpret_cast<uintptr_t>(to) % 64 == 0)
      _mm512_stream_ps(to, value);
    else
      _mm512_mask_storeu_ps(to, lanes, value);
  }

  const Product& p_;
  const int64_t* places_;
  const bool streams_;
};

// Layer norm of a pixel's finished outputs, while they are in the cache.
inline void normalise(const Product& p, float* row) {
  const int64_t count = p.out_channels;
  __m512 sum = _mm512_setzero_ps(), squares = sum;
  for (int64_t c = 0; c < count; c += 16)
    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(first_lanes(count - c), row + c));
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / float(count));
  for (int64_t c = 0; c < count; c += 16) {
    const __mmask16 lanes = first_lanes(count - c);
    const __m512 rest = _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, row + c), mean);
    squares = _mm512_fmadd_ps(rest, rest, squares);
  }
  const float variance = _mm512_reduce_add_ps(squares) / float(count) + float(p.norm_epsilon);
  const __m512 scale = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(_mm512_set1_ps(variance)));
  for (int64_t c = 0; c < count; c += 16) {
    const __mmask16 lanes = first_lanes(count - c);
    const __m512 rest = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, row + c), mean), scale);
    const __m512 weight = _mm512_maskz_loadu_ps(lanes, p.norm_weight + c);
    _mm512_mask_storeu_ps(row + c, lanes,
                          _mm512_fmadd_ps(rest, weight, _mm512_maskz_loadu_ps(lanes, p.norm_bias + c)));
  }
}

// e^(numbers − the largest of them), and what makes their sum one.
inline __m512 powers(__m512 numbers, float largest) {
  return (__m512)TF2_NAMESPACE::exponential(_mm512_sub_ps(numbers, _mm512_set1_ps(largest)));
}
inline __m512 share(float sum) { return _mm512_set1_ps(1.0f / sum); }

inline __m512 softmax(__m512 a) {
  a = powers(a, _mm512_reduce_max_ps(a));
  return _mm512_mul_ps(a, share(_mm512_reduce_add_ps(a)));
}

// Of both together.
inline void softmax(__m512& a, __m512& b) {
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(a, b));
  a = powers(a, largest);
  b = powers(b, largest);
  const __m512 of_all = share(_mm512_reduce_add_ps(_mm512_add_ps(a, b)));
  a = _mm512_mul_ps(a, of_all);
  b = _mm512_mul_ps(b, of_all);
}

// x · Φ(x), of which 1 − Φ(|x|) is computed: to 8e-8 of |x| (Abramowitz and Stegun, 7.1.26).
inline __m512 gelu(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f), size = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
  const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(size, _mm512_set1_ps(0.3275911f), one));
  constexpr float kTerms[] = {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
  __m512 sum = _mm512_set1_ps(1.061405429f);
  for (float term : kTerms) sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(term));
  const __m512 power = (__m512)TF2_NAMESPACE::exponential(_mm512_mul_ps(size, _mm512_sub_ps(_mm512_setzero_ps(), size)));
  const __m512 rest = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.5f)), _mm512_mul_ps(_mm512_mul_ps(sum, t), power));
  return _mm512_mask_sub_ps(rest, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ), x, rest);
}

// The second product's packed pixels.
class Middle {
 public:
  // They begin with the channels of `first`, a column; `pixel`: bytes of one.
  Middle(const Product& p, char* pixels, int64_t pixel, int64_t first)
      : p_(p), pixels_(pixels), pixel_(pixel), first_(first) {}

  void take(const float* sums, int64_t pixel, int64_t column) const {
    const int64_t channel = column * kBlock;
    __m512 a = biased(sums, channel), b = biased(sums + 16, channel + 16);
    if (p_.between == 0) {
      a = _mm512_max_ps(_mm512_setzero_ps(), a);
      b = _mm512_max_ps(_mm512_setzero_ps(), b);
    } else if (p_.between == 1) {
      a = gelu(a);
      b = gelu(b);
    } else if (p_.between == 16) {
      a = softmax(a);
      b = softmax(b);
    } else {
      softmax(a, b);
    }
    split(a, b, p_.terms, pixels_ + pixel * pixel_ + (column - first_) * p_.terms * kTermBytes);
  }

 private:
  // Beyond the last channel, zeros: what becomes of them meets weights of zero.
  __m512 biased(const float* sums, int64_t channel) const {
    const __m512 value = _mm512_load_ps(sums);
    if (!p_.middle_bias) return value;
    const __mmask16 lanes = first_lanes(p_.middle_channels - channel);
    return _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, p_.middle_bias + channel));
  }

  const Product& p_;
  char* pixels_;
  const int64_t pixel_, first_;
};

// ---- sums

// What is multiplied with what: a task's pixels with the weights from one column to another.
struct Factors {
  const char* pixels;
  int64_t terms, groups, pixel_bytes, blocks;  // terms of a number; blocks of channels
  const int64_t* shifts;                // of the taps, in bytes
  int64_t taps;
  const uint16_t* weights;
  int64_t column_weights;  // numbers of a column's, all of its channels'
  int64_t column, last_column;
  // Where these are some of the channels only: the sums so far, and whether these are the first ones, and the last.
  float* sums;  // [column][group][pixel][output]
  bool first, last;
  // Whether a group's columns follow one another, so that its pixels are written as they lie in memory; else the groups
  // of a column do, which need its weights but once.
  bool groups_first;
};

// Finished sums are taken to where they go while the next ones are added up: only the tiles' unit is busy with those.
template <typename To>
class Sums {
 public:
  Sums(const Factors& factors, const To& to) : f_(factors), to_(to) {}

  void run() {
    if (f_.groups_first)
      for (int64_t group = 0; group < f_.groups; ++group)
        for (int64_t column = f_.column; column < f_.last_column; ++column) sum(group, column);
    else
      for (int64_t column = f_.column; column < f_.last_column; ++column)
        for (int64_t group = 0; group < f_.groups; ++group) sum(group, column);
    take(kGroup);
  }

 private:
  void sum(int64_t group, int64_t column) {
    f_.first ? clear_sums() : load_sums(so_far(group, column));
    add_up(group, column);
    take(kGroup);
    store_sums(f_.last ? finished_ : so_far(group, column));
    if (f_.last) pixel_ = group * kGroup, column_ = column, left_ = kGroup;
  }

  // The taps inside the blocks of channels: they share most of their pixels, which thus stay in the first-level cache.
  void add_up(int64_t group, int64_t column) {
    const int64_t rows = units(kGroup, f_.taps * f_.blocks);
    const char* pixels = f_.pixels + group * kGroup * f_.pixel_bytes;
    const uint16_t* weights = f_.weights + column * f_.column_weights;
    for (int64_t block = 0; block < f_.blocks; ++block, pixels += f_.terms * kTermBytes)
      for (int64_t tap = 0; tap < f_.taps; ++tap, weights += f_.terms * kTermWeights) {
        add_step(pixels + f_.shifts[tap], f_.pixel_bytes, weights, f_.terms);
        take(rows);
      }
  }

  float* so_far(int64_t group, int64_t column) const { return f_.sums + (column * f_.groups + group) * kSums; }

  void take(int64_t count) {
    for (; count > 0 && left_ > 0; --count, --left_, ++pixel_)
      to_.take(finished_ + (kGroup - left_) * kBlock, pixel_, column_);
  }

  const Factors f_;
  const To to_;
  alignas(64) float finished_[kSums];
  int64_t pixel_ = 0, column_ = 0, left_ = 0;  // those still to be taken
};

template <typename To>
void multiply(const Factors& factors, const To& to) {
  asm volatile("" ::: "memory");  // the tiles' loads do not tell the compiler what they read
  Sums<To>(factors, to).run();
}

}  // namespace
}  // namespace tf2_products
