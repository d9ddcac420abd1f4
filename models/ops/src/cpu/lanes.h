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

// A number of one type as one of another.
TF2_INLINE void convert(float x, float& to) { to = x; }
TF2_INLINE void convert(double x, double& to) { to = x; }
TF2_INLINE void convert(BFloat16 x, BFloat16& to) { to = x; }
TF2_INLINE void convert(BFloat16 x, float& to) {
  union { uint32_t bits; float value; } u = {uint32_t(x.bits) << 16};
  to = u.value;
}
TF2_INLINE void convert(float x, BFloat16& to) {
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

// Of the caller's memory, which may lie at any address: lanes() is for memory laid out in vectors.
template <typename To, typename From>
TF2_INLINE To loaded(const From* at) {
  To all;
  __builtin_memcpy(&all, at, sizeof(To));
  return all;
}
template <typename From, typename To>
TF2_INLINE void store(const From& all, To* at) { __builtin_memcpy(at, &all, sizeof(From)); }

// e^x to some 2e-7, for x up to 0; NaN stays. Cephes' way: x = n·ln 2 + r, and a polynomial in r of at most ln 2 / 2.
TF2_INLINE Vectors<float>::Real exponential(Vectors<float>::Real x) {
  typedef Vectors<float>::Real Real;
  typedef Vectors<float>::Int Int;
  const Real zero = {}, least = zero - 87.0f, bounded = x < least ? least : x;
  const Real n = (bounded * 1.44269504f + 12582912.0f) - 12582912.0f;  // 3·2²² leaves no place for a fraction
  const Real r = bounded - n * 0.693359375f + n * 2.12194440e-4f;      // ln 2 in two parts
  Real power = r * 1.9875691500e-4f + 1.3981999507e-3f;
  power = power * r + 8.3334519073e-3f;
  power = power * r + 4.1665795894e-2f;
  power = power * r + 1.6666665459e-1f;
  power = power * r + 0.5f;
  power = power * r * r + r + 1.0f;
  const Int two_to_n = (Vectors<float>::whole(n) + 127) << 23;
  return x < least ? zero : power * (Real)two_to_n;
}

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

template <typename T, int N>
struct Largest {
  static TF2_INLINE T of(typename VectorOf<T, N>::type x) {
    typedef typename VectorOf<T, N / 2>::type Half;
    union { typename VectorOf<T, N>::type whole; Half half[2]; } u = {x};
    return Largest<T, N / 2>::of(u.half[0] > u.half[1] ? u.half[0] : u.half[1]);
  }
};
template <typename T>
struct Largest<T, 2> {
  static TF2_INLINE T of(typename VectorOf<T, 2>::type x) { return x[0] > x[1] ? x[0] : x[1]; }
};

// A unit of channels: one vector in memory, `parts` vectors when computed with.
template <typename V>
struct Unit {
  typedef typename Vectors<V>::Real Vector;
  static constexpr int parts = 1, channels = Vectors<V>::width;

  static TF2_INLINE Vector part(const V* unit, int) { return loaded<Vector>(unit); }
  static TF2_INLINE void store(const Vector* all_parts, V* unit) { TF2_NAMESPACE::store(*all_parts, unit); }
};

// A shift makes floats of a unit's even channels, a mask of the odd ones. Converting them in their order takes GCC four
// times as long.
template <>
struct Unit<BFloat16> {
  typedef Vectors<float>::Real Vector;
  typedef typename VectorOf<uint32_t, Vectors<float>::width>::type Bits;
  static constexpr int parts = 2, channels = 2 * Vectors<float>::width;

  static TF2_INLINE Vector part(const BFloat16* unit, int odd) {
    const Bits bits = loaded<Bits>(unit);
    return (Vector)(odd ? bits & 0xffff0000u : bits << 16);
  }
  static TF2_INLINE void store(const Vector* all_parts, BFloat16* unit) {
    const Bits pairs = rounded(all_parts[0]) >> 16 | (rounded(all_parts[1]) & 0xffff0000u);
    TF2_NAMESPACE::store(pairs, unit);
  }

 private:
  // As convert() does.
  static TF2_INLINE Bits rounded(Vector x) {
    const Bits bits = (Bits)x, nearest = bits + 0x7fffu + (bits >> 16 & 1u), nan = Bits{} + 0x7fc00000u;
    return x == x ? nearest : nan;
  }
};

// Loads of a vector of numbers, and of as many pairs. What went through the stack number by number would have to wait:
// a vector cannot be read before the stores of its parts are done.
template <typename T>
TF2_INLINE void load(const T* from, typename Vectors<T>::Real& numbers) {
  numbers = loaded<typename Vectors<T>::Real>(from);
}
template <typename T>
TF2_INLINE void load_pairs(const T* from, typename Vectors<T>::Real& first, typename Vectors<T>::Real& second) {
  for (int i = 0; i < Vectors<T>::width; ++i) {
    first[i] = from[2 * i];
    second[i] = from[2 * i + 1];
  }
}
TF2_INLINE void load(const BFloat16* from, Vectors<float>::Real& numbers) {
  typedef VectorOf<uint16_t, Vectors<float>::width>::type Halves;
  numbers = (Vectors<float>::Real)(__builtin_convertvector(loaded<Halves>(from), Unit<BFloat16>::Bits) << 16);
}
TF2_INLINE void load_pairs(const BFloat16* from, Vectors<float>::Real& first, Vectors<float>::Real& second) {
  first = Unit<BFloat16>::part(from, 0);
  second = Unit<BFloat16>::part(from, 1);
}

}  // namespace TF2_NAMESPACE
