#include "kernels/cross_entropy/cross_entropy_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;
// Columns whose exponentials are summed while still in the nearest cache.
constexpr int64_t kBlock = 2048;

inline int LanesLeft(int64_t begin, int64_t end) {
  return end - begin < kLanes ? static_cast<int>(end - begin) : kLanes;
}

float BlockMax(const float* x, int64_t n) {
  const Vec lowest = Set(-__builtin_inff());
  Vec m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    m0 = Max(m0, Load(x + i));
    m1 = Max(m1, Load(x + i + kLanes));
    m2 = Max(m2, Load(x + i + 2 * kLanes));
    m3 = Max(m3, Load(x + i + 3 * kLanes));
  }
  for (; i < n; i += kLanes) {
    const int lanes = LanesLeft(i, n);
    m0 = Max(m0, SelectFirst(lanes, LoadN(x + i, lanes), lowest));
  }
  return ReduceMax(Max(Max(m0, m1), Max(m2, m3)));
}

float BlockSumExp(const float* x, int64_t n, float shift) {
  const Vec c = Set(shift);
  Vec s0 = Zero(), s1 = Zero();
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    s0 = s0 + Exp(Load(x + i) - c);
    s1 = s1 + Exp(Load(x + i + kLanes) - c);
  }
  for (; i < n; i += kLanes) {
    const int lanes = LanesLeft(i, n);
    s0 = s0 + SelectFirst(lanes, Exp(LoadN(x + i, lanes) - c), Zero());
  }
  return ReduceAdd(s0 + s1);
}

// e^x of one value through the vector function: no libm, same rounding.
float ExpOne(float x) {
  float out[kLanes];
  Store(out, Exp(Set(x)));
  return out[0];
}

// One pass over memory: the running sum is rescaled when a block brings a new
// maximum.
void Statistics(const float* logits, int64_t n, float* row_max, float* sum_exp,
                int64_t* argmax) {
  float max = -__builtin_inff();
  float sum = 0.0f;
  int64_t best_block = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t length = n - begin < kBlock ? n - begin : kBlock;
    const float block_max = BlockMax(logits + begin, length);
    if (block_max > max) {
      if (sum != 0.0f) sum *= ExpOne(max - block_max);
      max = block_max;
      best_block = begin;
    }
    // While all were -infinite, any finite shift gives the zeros they stand
    // for (and still lets NaN through).
    const float shift = max == -__builtin_inff() ? 0.0f : max;
    sum += BlockSumExp(logits + begin, length, shift);
  }
  int64_t best = best_block;
  while (best < n && logits[best] != max) ++best;
  *row_max = max;
  *sum_exp = sum;
  *argmax = best < n ? best : 0;
}

void Gradient(float* logits, int64_t n, float lse, float weight) {
  const Vec shift = Set(lse);
  const Vec scale = Set(weight);
  ForEachVector(n, [=](int64_t i, auto lanes) {
    lanes.Store(logits + i, scale * Exp(lanes.Load(logits + i) - shift));
  });
}

}  // namespace

const CrossEntropyLoops kCrossEntropyLoops = {Statistics, Gradient};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
