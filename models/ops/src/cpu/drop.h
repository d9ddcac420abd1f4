// What a call of dropout is about; ctypes fills it (functions/drop.py).
#pragma once
#include "../problem.h"

struct Drop {
  const void* input;
  void* output;   // may be the input
  int64_t count;  // of elements
  int64_t type;   // TF2_FLOAT32 or TF2_BFLOAT16
  uint64_t seed;
  int64_t limit;  // draws are from -32768 to 32767: those below it drop their element
  float scale;    // of the others
  int32_t relu;   // whether a ReLU comes first
};

// Drops among `count` elements from `first` on, which is a multiple of 64.
typedef void (*DropFunction)(const Drop&, int64_t first, int64_t count);
