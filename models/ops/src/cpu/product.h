// Products of float32 matrices: what a call is about, how it lies in memory, and how it is cut into tasks.
//
// A float32 number is multiplied as the sum of two bfloat16 ones, its terms, or as one alone, which it is rounded to.
//
// A product is a convolution over channels-last maps; a linear layer is one of 1×1 over a line of pixels. A second one,
// of 1×1, may follow: what lies between the two never leaves the cache.
//
// Each task packs its share of the input once, so that for every tap of the kernel the rows of a tile are pixels that
// follow one another: output pixel i needs the packed pixel i + (the tap's shift), whatever i is. For that
//   - a map is stored with its padding, and the outputs are counted over lines as long as that; what falls into the
//     padding is computed and dropped;
//   - with a stride, every stride-th pixel of every stride-th line makes a map of its own, a phase.
#pragma once
#include <cstdint>

// Whether the compiler knows AMX. Whether the processor does is asked when it runs.
#if defined(__x86_64__) && defined(__linux__) && !defined(TF2_NO_AMX)
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define TF2_AMX
#endif
#endif

// ctypes fills it (functions/products.py). Maps are [images, height, width, channels]; all tensors are contiguous.
struct Product {
  int64_t images, in_channels, out_channels, relu;
  // Of each pair the first is vertical, the second horizontal.
  int64_t in_size[2], out_size[2], kernel[2], stride[2], padding[2], dilation[2];
  const float* input;
  const uint16_t* weights;  // packed
  const float* bias;        // [out_channels], or null
  const float* added;       // like the output, or null; the ReLU comes last
  float* output;
  // Where two follow one another: the first one's channels, with a ReLU; weights and bias above are the second one's.
  int64_t middle_channels;  // 0: there is only one
  const uint16_t* middle_weights;
  const float* middle_bias;
  // Layer norm over each pixel's outputs, after all else, or null.
  const float* norm_weight;
  const float* norm_bias;
  double norm_epsilon;
  int64_t terms;  // of a number: 2 or 1
  // Between two products: a ReLU (0), a GELU (1), or a softmax over so many of the middle channels at a time (16 or 32).
  int64_t between;
};

namespace tf2_products {

constexpr int64_t kBlock = 32;               // channels that a step multiplies, and channels that it adds to (a column)
constexpr int64_t kGroup = 32;               // pixels of a step
constexpr int64_t kSums = 1024;              // of a step
constexpr int64_t kTile = 512;               // bfloat16 numbers of a tile
constexpr int64_t kTermBytes = 64;           // of the first terms of a packed pixel's block; the second ones follow
constexpr int64_t kTermWeights = 2 * kTile;  // of the first terms of a step's weights; the second ones follow
constexpr int64_t kLongestWindow = 256;      // numbers that the taps of a line may take together
constexpr int64_t kMiddle = 512;             // channels between two products that are there at a time

// How many whole units hold `count`.
constexpr int64_t units(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }
constexpr int64_t blocks(int64_t channels) { return units(channels, kBlock); }

// Bytes of a packed pixel: an odd number of cache lines, so that a tile's rows do not fight for the same places there.
constexpr int64_t pixel_bytes(int64_t channels, int64_t terms) { return (blocks(channels) * terms | 1) * kTermBytes; }

// The first product's weights as the kernels see them. Few channels would fill a block up with zeros: the taps of a
// line are then taken together, as the channels of one.
struct Taps {
  int64_t lines, columns;  // of the kernel
  int64_t window;          // pixels that a tap takes
  int64_t channels;        // of a tap, over its window

  explicit Taps(const Product&);
  int64_t count() const { return lines * columns; }
  int64_t steps() const { return count() * blocks(channels); }
};

// One direction of the maps.
struct Axis {
  int64_t stride, padding, dilation;
  int64_t size;    // of the input
  int64_t output;  // what is kept of `length`
  int64_t phases;
  int64_t length;  // of a phase

  Axis(const Product&, int direction, int64_t taps);
  int64_t phase_of(int64_t tap) const { return tap * dilation % stride; }
  int64_t shift_of(int64_t tap) const { return tap * dilation / stride; }
};

struct Plan {
  Taps taps;
  Axis y, x;
  int64_t terms;                    // of a number
  int64_t reach;                    // the largest shift of a tap, in pixels
  int64_t groups, columns;          // of the output: of kGroup pixels, dropped ones too, and of kBlock channels
  int64_t middle_part;              // channels between two products that are there at a time, 0 where there is one
  int64_t row_tasks, column_tasks;  // among which groups and columns are dealt out
  int threads;
  bool groups_first;                // or columns (product_sums.h)
  bool streams;                     // the output goes past the caches, which it would not fit

  Plan(const Product&, int threads);
  int64_t tasks() const { return row_tasks * column_tasks; }
  int64_t phases() const { return y.phases * x.phases; }
  int64_t task_groups() const { return units(groups, row_tasks); }  // at most
  // Bytes of a task's packed pixels of one phase; of its channels between two products, and of the sums of them so far.
  int64_t input_bytes() const { return pixel_bytes(taps.channels, terms); }
  int64_t phase_bytes() const { return (task_groups() * kGroup + reach) * input_bytes(); }
  int64_t middle_bytes() const { return middle_part ? task_groups() * kGroup * pixel_bytes(middle_part, terms) : 0; }
  int64_t sums_bytes() const { return middle_part ? task_groups() * columns * kSums * 4 : 0; }
};

// What the caller (product.cpp) and the kernels (product_amx.cpp) agree on.
bool amx_available();
void amx_pack_weights(const Product&, const float* from, uint16_t* to);
int64_t amx_scratch_bytes(const Plan&);
void amx_run(const Product&, const Plan&, int64_t task, char* scratch);

}  // namespace tf2_products
