// A test problem's operands on a CUDA device, on numbers that bf16 holds
// exactly.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TEST_PROBLEM_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TEST_PROBLEM_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/test_problem.h"

namespace caracal::kernels::testing {

using ::caracal::testing::DeviceArray;
using ::caracal::testing::kBf16Roundoff;
using ::caracal::testing::RoundToBf16;

// Elements after the heads of a row: rows are not contiguous.
inline constexpr int64_t kGap = 8;

inline void Round(Table& t) {
  for (float& v : t.values) v = RoundToBf16(v);
}

inline Problem MakeProblem(const Shape& shape) {
  Problem p(shape);
  for (Table* t : {&p.q, &p.k, &p.v, &p.dy, &p.weight_q, &p.weight_k}) {
    Round(*t);
  }
  return p;
}

// [rows, heads, D] bf16 on the device, with a gap after each row.
class Bf16Rows {
 public:
  Bf16Rows() = default;
  Bf16Rows(int64_t rows, int64_t heads, int64_t D)
      : rows_(rows), heads_(heads), D_(D), memory_(rows * Stride()) {}
  explicit Bf16Rows(const Table& t, int64_t heads)
      : rows_(t.rows), heads_(heads), D_((t.columns - kSkip) / heads) {
    std::vector<uint16_t> bits(rows_ * Stride(), 0xffff);
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < heads_ * D_; ++c) {
        bits[r * Stride() + c] = Bf16FromFloat(t.values[r * t.columns + c]);
      }
    }
    memory_ = DeviceArray<uint16_t>(bits);
  }
  TensorView View() {
    TensorView view(memory_.data(), DType::kBF16, {rows_, heads_, D_});
    view.stride[0] = Stride();
    return view;
  }
  std::vector<float> Dense() const {
    std::vector<float> out;
    const std::vector<uint16_t> bits = memory_.Host();
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < heads_ * D_; ++c) {
        out.push_back(FloatFromBf16(bits[r * Stride() + c]));
      }
    }
    return out;
  }
  bool GapsIntact() const {
    const std::vector<uint16_t> bits = memory_.Host();
    for (size_t i = 0; i < bits.size(); ++i) {
      if (static_cast<int64_t>(i % Stride()) >= heads_ * D_ &&
          bits[i] != 0xffff) {
        return false;
      }
    }
    return true;
  }

 private:
  int64_t Stride() const { return heads_ * D_ + kGap; }
  int64_t rows_ = 0, heads_ = 0, D_ = 0;
  DeviceArray<uint16_t> memory_;
};

// A problem's operands on the device.
struct DeviceProblem {
  explicit DeviceProblem(const Problem& p)
      : q(p.q, p.shape.heads),
        k(p.k, p.shape.kv_heads),
        v(p.v, p.shape.kv_heads),
        dy(p.dy, p.shape.heads),
        weight_q(p.weight_q.values),
        weight_k(p.weight_k.values),
        bias_q(p.bias_q.values),
        bias_k(p.bias_k.values),
        factor(p.factor.values) {
    const int64_t H = p.shape.heads, D = p.shape.D, F = p.shape.F;
    const int64_t maps = p.maps();
    in.q = q.View();
    in.k = k.View();
    in.v = v.View();
    in.weight_q = TensorView(weight_q.data(), {maps, D, F});
    in.weight_k = TensorView(weight_k.data(), {maps, D, F});
    if (p.shape.bias) {
      in.bias_q = TensorView(bias_q.data(), {maps, F});
      in.bias_k = TensorView(bias_k.data(), {maps, F});
    }
    in.window_factor = TensorView(factor.data(), {H});
    in.offsets = p.offsets.data();
    in.sequences = p.sequences();
    in.terms = p.terms.data();
  }
  Bf16Rows q, k, v, dy;
  DeviceArray<float> weight_q, weight_k, bias_q, bias_k, factor;
  HybridAttentionInputs in;
};

// The norm of the error may be `roundings` bf16 roundings of the result, plus
// `floor`, plus what fp32 adds.
inline void ExpectClose(const char* name, const std::vector<float>& got,
                        const std::vector<double>& want, double roundings,
                        double fp32_bound, double floor) {
  const double norm = Norm(want);
  const double bound = (roundings * kBf16Roundoff + fp32_bound) * norm + floor;
  const double distance = Distance(got, want);
  EXPECT_LE(distance, bound)
      << name << ", norm " << norm << ", " << distance / (norm * kBf16Roundoff)
      << " roundings";
}

inline Context DeviceContext() {
  Context ctx;
  ctx.device = DeviceType::kCuda;
  return ctx;
}

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TEST_PROBLEM_H_
