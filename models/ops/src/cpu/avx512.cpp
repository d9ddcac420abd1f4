// AVX-512 of all servers that have it.
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#define TF2_NAMESPACE tf2_avx512
#define TF2_VECTOR_BYTES 64
#include "drop_kernel.h"
#include "kernels.h"
#endif
