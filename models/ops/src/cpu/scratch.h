// Memory that a thread keeps from call to call: fresh pages cost as much as the arithmetic of a small problem.
#pragma once
#include <cstdlib>
#include <memory>

// 64-byte aligned; null where there is not enough. Valid until the thread's next call.
inline char* scratch_of_this_thread(size_t bytes) {
  static thread_local std::unique_ptr<char, void (*)(void*)> memory(nullptr, std::free);
  static thread_local size_t size = 0;
  if (size < bytes) {
    memory.reset(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
    size = memory ? bytes : 0;
  }
  return memory.get();
}
