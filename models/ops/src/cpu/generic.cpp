// Any processor: vectors of 16 bytes, which every 64-bit one has (SSE2, NEON).
#define TF2_NAMESPACE tf2_generic
#define TF2_VECTOR_BYTES 16
#include "drop_kernel.h"
#include "kernels.h"
