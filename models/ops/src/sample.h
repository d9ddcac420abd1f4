// The arithmetic of one sample of multi-scale deformable attention (Deformable-DETR, eq. 3; spec §2), for every back end.
//
// A location in [0, 1] is column x·W − ½, row y·H − ½ of a level of H rows and W columns, whose pixel centres are whole
// numbers. Its value is the bilinear mean of the four pixels around it; pixels outside the level are zero.
//
// `Numbers` says what is computed with: one number (below; CUDA) or a vector of them, a sample a lane (cpu/lanes.h).
#pragma once

#ifdef __CUDACC__
#define TF2_INLINE __host__ __device__ __forceinline__
#else
#define TF2_INLINE inline __attribute__((always_inline))
#endif

// Each build of the CPU kernels has a namespace of its own: the linker would else keep one build's functions for all.
#ifndef TF2_NAMESPACE
#define TF2_NAMESPACE tf2
#endif

namespace TF2_NAMESPACE {

template <typename T>
struct Scalars {
  typedef T Element;
  typedef T Real;
  typedef int Int;
  static TF2_INLINE Int whole(Real x) { return int(x); }
  static TF2_INLINE Real real(Int x) { return T(x); }
  static TF2_INLINE bool within(Int index, Int size) { return unsigned(index) < unsigned(size); }
};

// The two pixels around a coordinate along one axis. Outside the level, index is that of some pixel inside and its share
// is zero, so that no reader needs a branch.
template <typename Numbers>
struct Axis {
  typename Numbers::Int index[2];
  typename Numbers::Real share[2];  // bilinear share of each pixel
  typename Numbers::Real slope[2];  // its derivative with respect to the location
};

template <typename Numbers>
TF2_INLINE Axis<Numbers> axis_of(typename Numbers::Real location, typename Numbers::Int size) {
  typedef typename Numbers::Element Element;
  typedef typename Numbers::Real Real;
  typedef typename Numbers::Int Int;
  const Real zero = {}, extent = Numbers::real(size);
  const Int none = {};

  const Real at = location * extent - Element(0.5);
  // Two pixels beyond the edge there is nothing to see; so far, also infinities and NaN have a pixel.
  Real near = at > Element(-2) ? at : zero - Element(2);
  near = near < extent + Element(1) ? near : extent + Element(1);
  Int first = Numbers::whole(near);
  first = near < Numbers::real(first) ? first - 1 : first;  // whole() rounds towards zero
  const Int second = first + 1;
  const Real fraction = near - Numbers::real(first);

  const auto first_inside = Numbers::within(first, size), second_inside = Numbers::within(second, size);
  const Real nothing = at - at;  // zero; NaN where a location is not finite, to be noticed as in plain PyTorch
  Axis<Numbers> axis;
  axis.index[0] = first_inside ? first : none;
  axis.index[1] = second_inside ? second : none;
  axis.share[0] = first_inside ? Element(1) - fraction : nothing;
  axis.share[1] = second_inside ? fraction : nothing;
  axis.slope[0] = first_inside ? zero - extent : zero;
  axis.slope[1] = second_inside ? extent : zero;
  return axis;
}

// The four pixels around a location: corner 2·row + column.
template <typename Numbers>
struct Corners {
  typename Numbers::Int place[4];  // row · row_stride + column · column_stride
  typename Numbers::Real share[4];
  typename Numbers::Real slope_x[4];  // derivative of the share with respect to the location's x
  typename Numbers::Real slope_y[4];
};

// Where the level lies in memory, and its size.
template <typename Numbers>
struct Level {
  typename Numbers::Int height, width, row_stride, column_stride;
};

template <typename Numbers>
TF2_INLINE Corners<Numbers> corners_of(typename Numbers::Real x, typename Numbers::Real y,
                                       const Level<Numbers>& level) {
  const Axis<Numbers> row = axis_of<Numbers>(y, level.height), column = axis_of<Numbers>(x, level.width);
  Corners<Numbers> corners;
  for (int r = 0; r < 2; ++r)
    for (int c = 0; c < 2; ++c) {
      corners.place[2 * r + c] = row.index[r] * level.row_stride + column.index[c] * level.column_stride;
      corners.share[2 * r + c] = row.share[r] * column.share[c];
      corners.slope_x[2 * r + c] = row.share[r] * column.slope[c];
      corners.slope_y[2 * r + c] = row.slope[r] * column.share[c];
    }
  return corners;
}

// Gradients of one sample's inputs; `dots` are the products of the output's gradient with the values of the four pixels.
template <typename Numbers>
struct SampleGradients {
  typename Numbers::Real weight, x, y;
};

template <typename Numbers>
TF2_INLINE SampleGradients<Numbers> gradients_of(const Corners<Numbers>& corners, const typename Numbers::Real dots[4],
                                                 typename Numbers::Real weight) {
  SampleGradients<Numbers> gradients = {};
  for (int corner = 0; corner < 4; ++corner) {
    gradients.weight += corners.share[corner] * dots[corner];
    gradients.x += corners.slope_x[corner] * dots[corner];
    gradients.y += corners.slope_y[corner] * dots[corner];
  }
  gradients.x *= weight;
  gradients.y *= weight;
  return gradients;
}

}  // namespace TF2_NAMESPACE
