// AVX2 and FMA.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define TF2_NAMESPACE tf2_avx2
#define TF2_VECTOR_BYTES 32
#include "drop_kernel.h"
#include "kernels.h"
#endif
