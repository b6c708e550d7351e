// What step_model.h's models are made of: shapes, views of device memory, the
// part of a tensor that a rank holds, and a layer's weights.
#ifndef CARACAL_TESTS_GPU_STEP_PARTS_H_
#define CARACAL_TESTS_GPU_STEP_PARTS_H_

#include <cstdint>
#include <vector>

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
  // What each of `ranks` tensor ranks has of it.
  Shape Part(int ranks) const {
    for (int64_t n : {H, Hkv, inner, vocabulary}) {
      CARACAL_CHECK(n % ranks == 0) << n << " over " << ranks << " ranks";
    }
    Shape part = *this;
    part.H /= ranks, part.Hkv /= ranks;
    part.inner /= ranks, part.vocabulary /= ranks;
    return part;
  }
};

// Where a rank stands; one of `tensor` and `data` is 1.
struct Place {
  int tensor = 1, tensor_rank = 0;  // heads, columns and vocabulary
  int data = 1, data_rank = 0;      // rows
};

inline TensorView View(const Bf16& memory, int64_t rows, int64_t columns,
                       int64_t stride = 0, int64_t begin = 0) {
  TensorView v(memory.data() + begin, DType::kBF16, {rows, columns});
  if (stride != 0) v.stride[0] = stride;
  return v;
}

// `heads` heads from element `begin` on of rows that lie `stride` apart.
inline TensorView Heads(const Bf16& memory, int64_t rows, int64_t heads,
                        int64_t D, int64_t stride, int64_t begin = 0) {
  TensorView v(memory.data() + begin, DType::kBF16, {rows, heads, D});
  v.stride[0] = stride;
  return v;
}

// Rows and columns of a matrix.
struct Block {
  int64_t row, rows, column, columns;
};

// A block of `from`, whose rows lie `from_width` apart, to the top left of
// `to`.
template <typename T>
void CopyBlock(const T* from, int64_t from_width, const Block& b, T* to,
               int64_t to_width) {
  CARACAL_CUDA_CHECK(cudaMemcpy2D(to, to_width * sizeof(T),
                                  from + b.row * from_width + b.column,
                                  from_width * sizeof(T), b.columns * sizeof(T),
                                  b.rows, cudaMemcpyDefault));
}

// Weights of a layer, adapters folded in (lora_cuda.h), and what its backward
// needs of its forward: the stream and its norms of `own_rows`, the rest of all
// `rows`.
struct Layer {
  Layer(const Shape& full, const Place& place, int64_t rows, int64_t own_rows,
        bool saves, uint64_t seed) {
    const Shape s = full.Part(place.tensor);
    const int64_t hidden = s.hidden, at = place.tensor_rank;
    const int64_t qkv_width = hidden + 3 * s.rank, o_width = s.q() + s.rank;
    {
      const Bf16 w = RandomOnDevice<uint16_t>(full.qkv() * hidden, 0.02, seed);
      qkv_weight = Bf16((s.qkv() + 3 * s.rank) * qkv_width);
      // The adapters' blocks that nothing is folded into.
      Zero(qkv_weight);
      int64_t from = 0, to = 0;
      for (const int64_t n : {s.q(), s.kv(), s.kv()}) {
        CopyBlock(w.data(), hidden, {from + at * n, n, 0, hidden},
                  qkv_weight.data() + to * qkv_width, qkv_width);
        from += n * place.tensor;
        to += n;
      }
    }
    {
      const Bf16 w =
          RandomOnDevice<uint16_t>(hidden * full.q(), 0.02, seed + 1);
      o_weight = Bf16((hidden + s.rank) * o_width);
      Zero(o_weight);
      CopyBlock(w.data(), full.q(), {0, hidden, at * s.q(), s.q()},
                o_weight.data(), o_width);
    }
    {
      const Bf16 w =
          RandomOnDevice<uint16_t>(2 * full.inner * hidden, 0.02, seed + 2);
      up_weight = Bf16(2 * s.inner * hidden);
      for (const int64_t half : {0, 1}) {
        CopyBlock(w.data(), hidden,
                  {half * full.inner + at * s.inner, s.inner, 0, hidden},
                  up_weight.data() + half * s.inner * hidden, hidden);
      }
    }
    {
      const Bf16 w =
          RandomOnDevice<uint16_t>(hidden * full.inner, 0.02, seed + 3);
      down_weight = Bf16(hidden * s.inner);
      CopyBlock(w.data(), full.inner, {0, hidden, at * s.inner, s.inner},
                down_weight.data(), s.inner);
    }
    if (!saves) return;
    x1 = Bf16(own_rows * hidden);
    x2 = Bf16(own_rows * hidden);
    inv1 = F32(own_rows);
    inv2 = F32(own_rows);
    y1 = Bf16(rows * qkv_width);
    qkv = Bf16(rows * s.qkv());
    a = Bf16(rows * o_width);
    gate_up = Bf16(rows * 2 * s.inner);
    dens = F32(2 * s.H * rows);
  }
  static void Zero(const Bf16& x) {
    CARACAL_CUDA_CHECK(cudaMemset(x.data(), 0, x.size() * 2));
  }
  Bf16 qkv_weight, o_weight, up_weight, down_weight;
  Bf16 x1, x2, y1, qkv, a, gate_up;
  F32 inv1, inv2;
  F32 dens;  // [2, H, rows] softmax and linear denominators
};

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_STEP_PARTS_H_
