// What step_bench.cc's models are made of: shapes, views of device memory,
// trained parameters with their optimizer, and a layer's weights.
#ifndef CARACAL_TESTS_GPU_STEP_PARTS_H_
#define CARACAL_TESTS_GPU_STEP_PARTS_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "kernels/adamw/adamw_cuda.h"
#include "kernels/common/cuda_bench.h"

namespace caracal::kernels {

using bench::RandomOnDevice;
using testing::DeviceArray;

using Bf16 = DeviceArray<uint16_t>;
using F32 = DeviceArray<float>;

struct Shape {
  int64_t hidden, H, Hkv, D, inner, layers, vocabulary;
  int64_t F = 64, window = 64, rank = 8, length = 1024;
  int64_t q() const { return H * D; }
  int64_t kv() const { return Hkv * D; }
  int64_t qkv() const { return q() + 2 * kv(); }
};

inline TensorView View(const Bf16& memory, int64_t rows, int64_t columns,
                       int64_t stride = 0, int64_t begin = 0) {
  TensorView v(memory.data() + begin, DType::kBF16, {rows, columns});
  if (stride != 0) v.stride[0] = stride;
  return v;
}

// `heads` heads from column `begin` on of rows that lie `stride` apart.
inline TensorView Heads(const Bf16& memory, int64_t rows, int64_t heads,
                        int64_t D, int64_t stride, int64_t begin = 0) {
  TensorView v(memory.data() + begin, DType::kBF16, {rows, heads, D});
  v.stride[0] = stride;
  return v;
}

// Trained parameters with gradients and moments, each one array.
struct Trained {
  void Add(int64_t n) {
    sizes.push_back(n);
    offsets.push_back(total);
    total += (n + 3) / 4 * 4;
  }
  void Allocate() {
    param = RandomOnDevice<float>(total, 0.05, 7);
    grad = F32(std::vector<float>(total));
    m = F32(std::vector<float>(total));
    v = F32(std::vector<float>(total));
    std::vector<AdamWCudaTensor> list;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const auto view = [&](const F32& from) {
        return TensorView(from.data() + offsets[i], {sizes[i]});
      };
      list.push_back({view(param), view(grad), view(m), view(v), {}});
    }
    memory = DeviceArray<char>(AdamWCudaTableBytes(list.size()));
    table = MakeAdamWCudaTable({}, list.data(), list.size(), memory.data());
  }
  TensorView Param(size_t i, std::initializer_list<int64_t> shape) const {
    return TensorView(param.data() + offsets[i], shape);
  }
  TensorView Grad(size_t i, std::initializer_list<int64_t> shape) const {
    return TensorView(grad.data() + offsets[i], shape);
  }
  void Zero() const {
    CARACAL_CUDA_CHECK(cudaMemsetAsync(grad.data(), 0, total * sizeof(float)));
  }
  void Step(int64_t step) {
    AdamWConfig config;
    config.lr = 1e-4;
    config.step = step;
    const std::vector<AdamWConfig> configs(sizes.size(), config);
    AdamWCudaConfigure({}, table, configs.data());
    SumOfSquaresCuda({}, table, AdamWCudaPart::kGrad, squares.data(),
                     {parts.data(), parts.size()});
    ClipCuda({}, squares.data(), 1.0, clip.data());
    AdamWStepCuda({}, table, clip.data());
  }

  std::vector<int64_t> sizes, offsets;
  int64_t total = 0;
  F32 param, grad, m, v;
  DeviceArray<char> memory, parts{SumOfSquaresCudaWorkspaceBytes()};
  DeviceArray<double> squares{1};
  DeviceArray<AdamWCudaClip> clip{1};
  AdamWCudaTable table;
};

// Weights of a layer, adapters folded in (lora_cuda.h), and what its backward
// needs of its forward.
struct Layer {
  Layer(const Shape& s, int64_t rows, bool saves, uint64_t seed)
      : qkv_weight(RandomOnDevice<uint16_t>(
            (s.qkv() + 3 * s.rank) * (s.hidden + 3 * s.rank), 0.02, seed)),
        o_weight(RandomOnDevice<uint16_t>(
            (s.hidden + s.rank) * (s.q() + s.rank), 0.02, seed + 1)),
        up_weight(
            RandomOnDevice<uint16_t>(2 * s.inner * s.hidden, 0.02, seed + 2)),
        down_weight(
            RandomOnDevice<uint16_t>(s.hidden * s.inner, 0.02, seed + 3)) {
    if (!saves) return;
    x1 = Bf16(rows * s.hidden);
    x2 = Bf16(rows * s.hidden);
    y1 = Bf16(rows * (s.hidden + 3 * s.rank));
    qkv = Bf16(rows * s.qkv());
    a = Bf16(rows * (s.q() + s.rank));
    gate_up = Bf16(rows * 2 * s.inner);
    inv1 = F32(rows);
    inv2 = F32(rows);
    softmax_den = F32(s.H * rows);
    linear_den = F32(s.H * rows);
  }
  Bf16 qkv_weight, o_weight, up_weight, down_weight;
  Bf16 x1, x2, y1, qkv, a, gate_up;
  F32 inv1, inv2, softmax_den, linear_den;
};

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_STEP_PARTS_H_
