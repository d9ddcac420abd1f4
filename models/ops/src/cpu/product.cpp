// Products of float32 matrices in the CPU library (functions/products.py calls): deals their tasks to threads.
#include "product.h"

#include <algorithm>

#include "scratch.h"

namespace tf2_products {

Taps::Taps(const Product& p) : lines(p.kernel[0]), columns(p.kernel[1]), window(1), channels(p.in_channels) {
  const int64_t together = columns * channels;
  if (together > kLongestWindow || blocks(together) >= columns * blocks(channels)) return;
  window = columns;
  channels = together;
  columns = 1;
}

Axis::Axis(const Product& p, int direction, int64_t taps)
    : stride(p.stride[direction]),
      padding(p.padding[direction]),
      dilation(p.dilation[direction]),
      size(p.in_size[direction]),
      output(p.out_size[direction]),
      phases(std::min(stride, (taps - 1) * dilation + 1)),
      length(output + shift_of(taps - 1)) {}

namespace {

constexpr int64_t kCache = 5 << 18;    // bytes that a task's pixels may take: most of the second-level cache
constexpr int64_t kMostGroups = 16;    // of a task: more would leave threads idle at the end
constexpr int64_t kFewestGroups = 4;   // each task reads all its weights from the third-level cache: not for less
constexpr int64_t kSteps = 256;        // that pay for waking a thread
constexpr int64_t kWeights = 1 << 20;  // bytes that stay in the second-level cache beside the pixels
constexpr int64_t kOutput = 2 << 20;   // bytes, above which nothing would be left of it there for the next layer

// So many that a task's pixels stay in the cache, and as many for each thread.
int64_t row_tasks_of(const Plan& plan) {
  const int64_t input = plan.phases() * plan.input_bytes();
  const int64_t second = plan.middle_part ? pixel_bytes(plan.middle_part, plan.terms) + plan.columns * kBlock * 4 : 0;
  const int64_t fitting = (kCache - plan.reach * input) / (input + second) / kGroup;
  const int64_t wanted = kMostGroups + 2 * plan.reach / kGroup;  // neighbours both pack the pixels that both reach
  const int64_t most = std::max(std::min(fitting, wanted), kFewestGroups);
  const int64_t tasks = units(units(plan.groups, most), plan.threads) * plan.threads;
  return std::min(tasks, units(plan.groups, kFewestGroups));
}

}  // namespace

Plan::Plan(const Product& p, int most_threads) : taps(p), y(p, 0, taps.lines), x(p, 1, taps.columns), terms(p.terms) {
  reach = y.shift_of(taps.lines - 1) * x.length + x.shift_of(taps.columns - 1);
  groups = units(p.images * y.length * x.length - reach, kGroup);
  columns = blocks(p.out_channels);
  middle_part = std::min(p.middle_channels, kMiddle);
  const int64_t steps = (p.middle_channels ? blocks(p.middle_channels) : columns) * groups * taps.steps();
  threads = int(std::max<int64_t>(1, std::min<int64_t>(most_threads, steps / kSteps)));
  row_tasks = row_tasks_of(*this);
  // Tasks of the same pixels each pack them; they would each compute the same middle channels. A norm needs all outputs.
  column_tasks = middle_part || p.norm_weight ? 1 : std::min(columns, std::max<int64_t>(1, threads / row_tasks));
  groups_first = !middle_part && columns * taps.steps() * terms * kTermWeights * 2 <= kWeights;
  streams = !p.norm_weight && p.images * y.output * x.output * p.out_channels * 4 > kOutput;  // a norm reads it at once
}

}  // namespace tf2_products

using namespace tf2_products;

extern "C" {

#if defined(TF2_AMX)

int tf2_product_available() { return amx_available(); }

// Numbers of the packed weights.
int64_t tf2_packed_weights(const Product* p) {
  return blocks(p->out_channels) * Taps(*p).steps() * p->terms * kTermWeights;
}

// Packs weights [out_channels, kernel, kernel, in_channels].
void tf2_pack_weights(const Product* p, const float* from, uint16_t* to) { amx_pack_weights(*p, from, to); }

// Returns 0, or 1 where there is not enough memory.
int tf2_product(const Product* p, int threads) {
  const Plan plan(*p, threads);
  const size_t bytes = amx_scratch_bytes(plan);
  int failed = 0;
#pragma omp parallel for num_threads(plan.threads) schedule(dynamic, 1) reduction(| : failed)
  for (int64_t task = 0; task < plan.tasks(); ++task) {
    char* scratch = scratch_of_this_thread(bytes);
    failed |= !scratch;
    if (scratch) amx_run(*p, plan, task, scratch);
  }
  return failed;
}

#else

int tf2_product_available() { return 0; }
int64_t tf2_packed_weights(const Product*) { return 0; }
void tf2_pack_weights(const Product*, const float*, uint16_t*) {}
int tf2_product(const Product*, int) { return 1; }

#endif
}
