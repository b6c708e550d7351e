#include "kernels/rms_norm/rms_norm_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;

// Four chains hide the latency of the multiply-add.
void Forward(const float* x, const float* weight, float eps, int64_t columns,
             float* y, float* inv_rms) {
  Vec s0 = Zero(), s1 = Zero(), s2 = Zero(), s3 = Zero();
  int64_t c = 0;
  for (; c + 4 * kLanes <= columns; c += 4 * kLanes) {
    const Vec x0 = Load(x + c), x1 = Load(x + c + kLanes);
    const Vec x2 = Load(x + c + 2 * kLanes), x3 = Load(x + c + 3 * kLanes);
    s0 = Fma(x0, x0, s0);
    s1 = Fma(x1, x1, s1);
    s2 = Fma(x2, x2, s2);
    s3 = Fma(x3, x3, s3);
  }
  for (; c < columns; c += kLanes) {
    const int n = columns - c < kLanes ? static_cast<int>(columns - c) : kLanes;
    const Vec x0 = LoadN(x + c, n);
    s0 = Fma(x0, x0, s0);
  }
  const float sum = ReduceAdd((s0 + s1) + (s2 + s3));
  const float inv = 1.0f / __builtin_sqrtf(sum / columns + eps);
  const Vec scale = Set(inv);
  ForEachVector(columns, [=](int64_t i, auto lanes) {
    lanes.Store(y + i, lanes.Load(x + i) * scale * lanes.Load(weight + i));
  });
  if (inv_rms != nullptr) *inv_rms = inv;
}

void Backward(const float* dy, const float* x, const float* weight, float inv,
              int64_t columns, bool accumulate, float* dx) {
  Vec s0 = Zero(), s1 = Zero();
  int64_t c = 0;
  for (; c + 2 * kLanes <= columns; c += 2 * kLanes) {
    s0 = Fma(Load(dy + c) * Load(weight + c), Load(x + c), s0);
    s1 = Fma(Load(dy + c + kLanes) * Load(weight + c + kLanes),
             Load(x + c + kLanes), s1);
  }
  for (; c < columns; c += kLanes) {
    const int n = columns - c < kLanes ? static_cast<int>(columns - c) : kLanes;
    s0 = Fma(LoadN(dy + c, n) * LoadN(weight + c, n), LoadN(x + c, n), s0);
  }
  const float dot = ReduceAdd(s0 + s1);
  const Vec scale = Set(inv);
  const Vec slope = Set(-(inv * inv * inv * (dot / columns)));
  ForEachVector(columns, [=](int64_t i, auto lanes) {
    const Vec direct = scale * (lanes.Load(dy + i) * lanes.Load(weight + i));
    const Vec gradient = Fma(slope, lanes.Load(x + i), direct);
    lanes.Store(dx + i, accumulate ? lanes.Load(dx + i) + gradient : gradient);
  });
}

// Columns are taken in strips narrow enough for registers, all rows of one
// before the next.
void BackwardWeight(const float* dy, int64_t dy_stride, const float* x,
                    int64_t x_stride, const float* inv_rms, int64_t rows,
                    int64_t columns, float* dweight) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= columns; c += 4 * kLanes) {
    Vec sum[4] = {Zero(), Zero(), Zero(), Zero()};
    for (int64_t r = 0; r < rows; ++r) {
      const float* dy_row = dy + r * dy_stride + c;
      const float* x_row = x + r * x_stride + c;
      const Vec inv = Set(inv_rms[r]);
      for (int i = 0; i < 4; ++i) {
        sum[i] = Fma(Load(dy_row + i * kLanes) * Load(x_row + i * kLanes), inv,
                     sum[i]);
      }
    }
    for (int i = 0; i < 4; ++i) {
      float* out = dweight + c + i * kLanes;
      Store(out, Load(out) + sum[i]);
    }
  }
  for (; c < columns; c += kLanes) {
    const int n = columns - c < kLanes ? static_cast<int>(columns - c) : kLanes;
    Vec sum = Zero();
    for (int64_t r = 0; r < rows; ++r) {
      sum =
          Fma(LoadN(dy + r * dy_stride + c, n) * LoadN(x + r * x_stride + c, n),
              Set(inv_rms[r]), sum);
    }
    StoreN(dweight + c, LoadN(dweight + c, n) + sum, n);
  }
}

}  // namespace

const RmsNormLoops kRmsNormLoops = {Forward, Backward, BackwardWeight};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
