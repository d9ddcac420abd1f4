// What a call of the operator is about; ctypes fills it (functions/compiled.py). All tensors are contiguous.
#pragma once
#include <cstdint>

enum { TF2_FLOAT32 = 0, TF2_FLOAT64 = 1, TF2_BFLOAT16 = 2, TF2_FLOAT16 = 3 };

struct Problem {
  int64_t batch;             // N
  int64_t tokens;            // S, of all levels
  int64_t heads;             // M
  int64_t channels;          // D, of one head
  int64_t queries;           // Lq
  int64_t levels;            // L
  int64_t points;            // P
  const int64_t* shapes;     // [L, 2] rows and columns, in the host's memory
  int64_t value_type;        // of value, output and their gradients
  int64_t location_type;     // of locations, weights and their gradients
  const void* value;         // [N, S, M, D]
  const void* locations;     // [N, Lq, M, L, P, 2], (x, y)
  const void* weights;       // [N, Lq, M, L, P]
  void* output;              // [N, Lq, M, D]
  const void* grad_output;   // [N, Lq, M, D]
  void* grad_value;
  void* grad_locations;
  void* grad_weights;
  // Instead of locations and weights, what they are made of (cpu/raw_samples.h):
  const void* raw;           // [N, Lq, M, 3, K]: offsets in x, in y, logits; K: L·P, filled up to a multiple of 16
  const void* reference;     // [N, Lq, L, 2] points (x, y), or [N, Lq, L, 4] boxes (cx, cy, w, h)
  int64_t reference_numbers; // 2 or 4
};
