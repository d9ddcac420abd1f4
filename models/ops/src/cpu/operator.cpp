// The CPU library: chooses the kernels that this processor runs, and deals tasks to threads (functions/compiled.py calls).
#include "drop.h"
#include "scratch.h"
#include "task.h"

#define TF2_KERNELS(name)                       \
  namespace name {                              \
  KernelFunction forward_kernel(const Problem&);  \
  KernelFunction backward_kernel(const Problem&); \
  KernelFunction attend_kernel();               \
  DropFunction drop_kernel(const Drop&);        \
  }
TF2_KERNELS(tf2_generic)
#if defined(__x86_64__)
TF2_KERNELS(tf2_avx2)
TF2_KERNELS(tf2_avx512)
#endif

namespace {

struct Build {
  const char* name;
  bool runs_here;
  KernelFunction (*forward)(const Problem&);
  KernelFunction (*backward)(const Problem&);
  KernelFunction (*attend)();
  DropFunction (*drop)(const Drop&);
};

// The best first.
const Build* builds() {
  static const Build all[] = {
#if defined(__x86_64__)
      {"avx512",
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl"),
       tf2_avx512::forward_kernel, tf2_avx512::backward_kernel, tf2_avx512::attend_kernel, tf2_avx512::drop_kernel},
      {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), tf2_avx2::forward_kernel,
       tf2_avx2::backward_kernel, tf2_avx2::attend_kernel, tf2_avx2::drop_kernel},
#endif
      {"generic", true, tf2_generic::forward_kernel, tf2_generic::backward_kernel, tf2_generic::attend_kernel,
       tf2_generic::drop_kernel},
      {nullptr, false, nullptr, nullptr, nullptr, nullptr}};
  return all;
}

const Build* chosen = nullptr;

const Build& build() {
  if (!chosen)
    for (chosen = builds(); !chosen->runs_here; ++chosen) {
    }
  return *chosen;
}

// Where there are fewer heads than threads, several threads share a head, and each packs its values.
int64_t parts(const Problem& p, int threads) {
  const int64_t heads = p.batch * p.heads;
  return (threads + heads - 1) / heads;
}

// Tasks are heads, in `parts` each. Returns 0, or 1 where there is not enough memory.
int run(const Problem& p, KernelFunction kernel, int64_t parts, int threads) {
  const int64_t heads = p.batch * p.heads;
  const size_t bytes = kernel(p, Task{}, nullptr);
  int failed = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(| : failed)
  for (int64_t i = 0; i < heads * parts; ++i) {
    const int64_t head = i / parts, part = i % parts;
    const Task task = {head / p.heads, head % p.heads, p.queries * part / parts, p.queries * (part + 1) / parts};
    char* scratch = scratch_of_this_thread(bytes);
    failed |= !scratch;
    if (scratch) kernel(p, task, scratch);
  }
  return failed;
}

}  // namespace

extern "C" {

// These return 0, or 1 where there is not enough memory.
int tf2_forward(const Problem* p, int threads) { return run(*p, build().forward(*p), parts(*p, threads), threads); }

// tf2_forward of raw offsets and logits, float32.
int tf2_attend(const Problem* p, int threads) { return run(*p, build().attend(), parts(*p, threads), threads); }

int tf2_backward(const Problem* p, int threads) { return run(*p, build().backward(*p), 1, threads); }

void tf2_drop(const Drop* p, int threads) {
  constexpr int64_t kPart = 1 << 16;  // elements: it is worth a thread's while
  const DropFunction drop = build().drop(*p);
#pragma omp parallel for num_threads(threads) if (p->count > kPart)
  for (int64_t first = 0; first < p->count; first += kPart)
    drop(*p, first, p->count - first < kPart ? p->count - first : kPart);
}

// Which kernels run: "avx512", "avx2" or "generic".
const char* tf2_kernels() { return build().name; }

// Chooses others by name, for tests; 1 where this processor cannot run them, or there are none of that name.
int tf2_choose_kernels(const char* name) {
  for (const Build* one = builds(); one->name; ++one)
    if (__builtin_strcmp(one->name, name) == 0 && one->runs_here) {
      chosen = one;
      return 0;
    }
  return 1;
}

// Which sources the library was built from (build.py).
const char* tf2_sources() { return TF2_SOURCES; }
}
