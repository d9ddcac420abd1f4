// Products on AMX. A float32 number is the sum of two bfloat16 ones, its high part and its low part, to 16 bits; of the
// four products of two such sums the three larger are added up in float32, to a relative error of some 3e-6. The high
// parts alone give one of some 3e-3.
//
// No header of the C++ library comes in here, as in kernels.h.
#include "product.h"

#if defined(TF2_AMX)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tf2_products {

// The tiles make a thread's state large: Linux keeps it only for processes that have asked for it.
bool amx_available() {
  constexpr unsigned kTiles = 1u << 24, kBFloat16 = 1u << 22, kAsk = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kTiles) || !(d & kBFloat16)) return false;
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vl")) return false;
  return syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
}

}  // namespace tf2_products

#if defined(__clang__)
#define TF2_TARGET __attribute__((target("avx512f,avx512vl,avx512bf16,amx-tile,amx-bf16")))
#pragma clang attribute push(TF2_TARGET, apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512bf16,amx-tile,amx-bf16,prefer-vector-width=512")
#endif
#define TF2_NAMESPACE tf2_amx
#define TF2_VECTOR_BYTES 64
#include "product_sums.h"

namespace tf2_products {
namespace {

// A task's part of its thread's memory.
struct Memory {
  int64_t *shifts, *places;
  char *pixels, *middle;
  float* sums;
  int64_t bytes;

  Memory(const Plan& plan, char* scratch) : bytes(0), scratch_(scratch) {
    shifts = reinterpret_cast<int64_t*>(take(plan.taps.count() * 8));
    places = reinterpret_cast<int64_t*>(take(plan.task_groups() * kGroup * 8));
    pixels = take(plan.phases() * plan.phase_bytes());
    middle = take(plan.middle_bytes());
    sums = reinterpret_cast<float*>(take(plan.sums_bytes()));
  }

 private:
  char* take(int64_t count) {
    bytes += units(count, 64) * 64;
    return scratch_ + bytes - units(count, 64) * 64;
  }

  char* scratch_;
};

void set_shifts(const Plan& plan, int64_t* shifts) {
  for (int64_t line = 0; line < plan.taps.lines; ++line)
    for (int64_t column = 0; column < plan.taps.columns; ++column) {
      const int64_t phase = plan.y.phase_of(line) * plan.x.phases + plan.x.phase_of(column);
      const int64_t pixel = plan.y.shift_of(line) * plan.x.length + plan.x.shift_of(column);
      *shifts++ = phase * plan.phase_bytes() + pixel * plan.input_bytes();
    }
}

void set_places(const Product& p, const Plan& plan, int64_t first, int64_t count, int64_t* places) {
  Walk at(plan, first);
  for (int64_t i = 0; i < count; ++i, at.next()) {
    const bool kept = at.image < p.images && at.line < plan.y.output && at.column < plan.x.output;
    places[i] = kept ? (at.image * plan.y.output + at.line) * plan.x.output + at.column : -1;
  }
}

// The first product or the only one, with all its columns.
Factors first_factors(const Product& p, const Plan& plan, const Memory& memory, int64_t groups) {
  Factors f = {};
  f.pixels = memory.pixels;
  f.groups = groups;
  f.terms = plan.terms;
  f.pixel_bytes = plan.input_bytes();
  f.blocks = blocks(plan.taps.channels);
  f.shifts = memory.shifts;
  f.taps = plan.taps.count();
  f.weights = plan.middle_part ? p.middle_weights : p.weights;
  f.column_weights = plan.taps.steps() * plan.terms * kTermWeights;
  f.last_column = plan.middle_part ? blocks(p.middle_channels) : plan.columns;
  f.first = f.last = true;
  return f;
}

// The first product, part by part of its channels, and the second one of each part at once.
void multiply_twice(const Product& p, const Plan& plan, const Memory& memory, Factors first) {
  const int64_t columns = first.last_column, part = blocks(plan.middle_part), no_shift = 0;
  Factors second = first;
  second.pixels = memory.middle;
  second.pixel_bytes = pixel_bytes(plan.middle_part, plan.terms);
  second.shifts = &no_shift;
  second.taps = 1;
  second.weights = p.weights;
  second.column_weights = columns * plan.terms * kTermWeights;
  second.last_column = plan.columns;
  second.sums = memory.sums;
  for (first.column = 0; first.column < columns; first.column += part) {
    first.last_column = first.column + part < columns ? first.column + part : columns;
    multiply(first, Middle(p, memory.middle, second.pixel_bytes, first.column));
    second.blocks = first.last_column - first.column;
    second.first = first.column == 0;
    second.last = first.last_column == columns;
    multiply(second, Output(p, memory.places));
    second.weights += second.blocks * plan.terms * kTermWeights;
  }
}

// The product of the task's packed pixels with the weights from one column to another.
void multiply(const Product& p, const Plan& plan, const Memory& memory, int64_t groups, int64_t column) {
  Factors factors = first_factors(p, plan, memory, groups);
  if (plan.middle_part) return multiply_twice(p, plan, memory, factors);
  factors.column = plan.columns * column / plan.column_tasks;
  factors.last_column = plan.columns * (column + 1) / plan.column_tasks;
  multiply(factors, Output(p, memory.places));
}

void run(const Product& p, const Plan& plan, int64_t task, const Memory& memory) {
  const int64_t row = task / plan.column_tasks, column = task % plan.column_tasks;
  const int64_t first = plan.groups * row / plan.row_tasks, groups = plan.groups * (row + 1) / plan.row_tasks - first;
  set_shifts(plan, memory.shifts);
  set_places(p, plan, first * kGroup, groups * kGroup, memory.places);
  Packer packer(p, plan);
  for (int64_t phase = 0; phase < plan.phases(); ++phase)
    packer.pack(phase, first * kGroup, groups * kGroup + plan.reach, memory.pixels + phase * plan.phase_bytes());
  multiply(p, plan, memory, groups, column);
  if (p.norm_weight)
    for (int64_t i = 0; i < groups * kGroup; ++i)
      if (memory.places[i] >= 0) normalise(p, p.output + memory.places[i] * p.out_channels);
}

}  // namespace

void amx_pack_weights(const Product& p, const float* from, uint16_t* to) { pack_weights(p, from, to); }

int64_t amx_scratch_bytes(const Plan& plan) { return Memory(plan, nullptr).bytes; }

void amx_run(const Product& p, const Plan& plan, int64_t task, char* scratch) {
  const TileConfig config;
  _tile_loadconfig(&config);
  run(p, plan, task, Memory(plan, scratch));
  _tile_release();
}

}  // namespace tf2_products

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
