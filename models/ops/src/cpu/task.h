// What the caller (operator.cpp) and the kernels of each vector unit agree on.
#pragma once
#include "../problem.h"

// The queries [first_query, last_query) of one head of one image.
struct Task {
  int64_t image, head, first_query, last_query;
};

// Runs a task with `scratch` memory; without it, only says how many bytes it needs.
typedef int64_t (*KernelFunction)(const Problem&, const Task&, char* scratch);
