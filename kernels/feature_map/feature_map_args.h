// FeatureMapForward's operands as plain numbers and pointers, for the code
// compiled once per instruction set.
#ifndef CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_ARGS_H_
#define CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_ARGS_H_

#include <cstdint>

namespace caracal::kernels {

// One head; strides in elements.
struct FeatureMapArgs {
  int64_t D = 0, F = 0, Fout = 0;
  const float* x = nullptr;  // [rows, D]
  int64_t x_stride = 0;
  const float* weight = nullptr;  // [D, F]
  const float* bias = nullptr;    // [F] or null
  float* phi = nullptr;           // [rows, Fout]
  int64_t phi_stride = 0;
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_FEATURE_MAP_FEATURE_MAP_ARGS_H_
