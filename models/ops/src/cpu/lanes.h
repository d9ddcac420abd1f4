// Vectors by the compiler's extension (GCC, Clang): AVX-512, AVX2, SSE or NEON, whatever the file is built for.
#pragma once
#include <cstdint>

#include "../sample.h"

namespace TF2_NAMESPACE {

struct BFloat16 {
  uint16_t bits;
};

// What each stored type is computed in, and the whole numbers as wide as that.
template <typename V> struct Computed { typedef V type; };
template <> struct Computed<BFloat16> { typedef float type; };
template <typename T> struct WholeOf;
template <> struct WholeOf<float> { typedef int32_t type; };
template <> struct WholeOf<double> { typedef int64_t type; };
template <typename T> struct UnsignedOf;
template <> struct UnsignedOf<float> { typedef uint32_t type; };
template <> struct UnsignedOf<double> { typedef uint64_t type; };

TF2_INLINE float widen(float x) { return x; }
TF2_INLINE double widen(double x) { return x; }
TF2_INLINE float widen(BFloat16 x) {
  union { uint32_t bits; float value; } u = {uint32_t(x.bits) << 16};
  return u.value;
}

TF2_INLINE void narrow(float x, float& to) { to = x; }
TF2_INLINE void narrow(double x, double& to) { to = x; }
TF2_INLINE void narrow(float x, BFloat16& to) {
  union { float value; uint32_t bits; } u = {x};
  const uint32_t rounded = u.bits + 0x7fff + (u.bits >> 16 & 1);  // to nearest, ties to even
  to.bits = uint16_t((x == x ? rounded : 0x7fc00000u) >> 16);
}

template <typename T, int N>
struct VectorOf {
  // Aligned as one element is, so that any address will do.
  typedef T type __attribute__((vector_size(sizeof(T) * N), aligned(sizeof(T)), may_alias));
};

// As many samples as a vector holds (the Numbers of sample.h), or as many channels.
template <typename T>
struct Vectors {
  static constexpr int width = TF2_VECTOR_BYTES / sizeof(T);
  typedef T Element;
  typedef typename VectorOf<T, width>::type Real;
  typedef typename VectorOf<typename WholeOf<T>::type, width>::type Int;
  static TF2_INLINE Int whole(Real x) { return __builtin_convertvector(x, Int); }
  static TF2_INLINE Real real(Int x) { return __builtin_convertvector(x, Real); }
  static TF2_INLINE Int within(Int index, Int size) {
    typedef typename VectorOf<typename UnsignedOf<T>::type, width>::type Unsigned;
    return (Unsigned)index < (Unsigned)size;
  }
};

template <typename To, typename From>
TF2_INLINE To& lanes(From* at) { return *reinterpret_cast<To*>(at); }
template <typename To, typename From>
TF2_INLINE const To& lanes(const From* at) { return *reinterpret_cast<const To*>(at); }

template <typename T, int N>
struct Total {
  static TF2_INLINE T of(typename VectorOf<T, N>::type x) {
    typedef typename VectorOf<T, N / 2>::type Half;
    union { typename VectorOf<T, N>::type whole; Half half[2]; } u = {x};
    return Total<T, N / 2>::of(u.half[0] + u.half[1]);
  }
};
template <typename T>
struct Total<T, 2> {
  static TF2_INLINE T of(typename VectorOf<T, 2>::type x) { return x[0] + x[1]; }
};

// A unit of packed channels: one vector in memory, `Vectors<T>` when computed with. Zeros fill the last one.
template <typename V>
struct Unit {
  typedef typename Computed<V>::type T;
  typedef V Stored;
  typedef typename Vectors<T>::Real Vector;
  static constexpr int parts = 1, channels = Vectors<T>::width, length = channels;

  static TF2_INLINE Vector part(const Stored* unit, int) { return lanes<Vector>(unit); }
  static TF2_INLINE void pack(const V* from, int count, Stored* unit) {
    for (int i = 0; i < channels; ++i) unit[i] = i < count ? from[i] : V(0);
  }
};

// Two bfloat16 in each lane: that of the unit's first half in the low bits, that of its second half in the high ones.
// A shift and a mask make two vectors of floats of them; converting sixteen neighbours takes GCC four times as long.
template <>
struct Unit<BFloat16> {
  typedef float T;
  typedef uint32_t Stored;
  typedef Vectors<float>::Real Vector;
  typedef typename VectorOf<uint32_t, Vectors<float>::width>::type Bits;
  static constexpr int length = Vectors<float>::width, parts = 2, channels = 2 * length;

  static TF2_INLINE Vector part(const Stored* unit, int half) {
    const Bits bits = lanes<Bits>(unit);
    return (Vector)(half ? bits & 0xffff0000u : bits << 16);
  }
  static TF2_INLINE void pack(const BFloat16* from, int count, Stored* unit) {
    for (int i = 0; i < length; ++i) {
      const uint32_t low = i < count ? from[i].bits : 0, high = i + length < count ? from[i + length].bits : 0;
      unit[i] = high << 16 | low;
    }
  }
};

}  // namespace TF2_NAMESPACE
