#include "core/collective/reduce.h"

#include <algorithm>

#include "kernels/common/check.h"

namespace caracal {
namespace {

// Elements at a time: the accumulator stays in the first-level cache, and a
// block of `out` is written only when all sources of it have been read.
constexpr int64_t kBlock = 1024;

struct F32 {
  using Element = float;
  static float Load(float x) { return x; }
  static float Store(float x) { return x; }
};

struct Bf16 {
  using Element = uint16_t;
  static float Load(uint16_t x) { return FloatFromBf16(x); }
  static uint16_t Store(float x) { return Bf16FromFloat(x); }
};

struct Sum {
  static float Combine(float a, float b) { return a + b; }
};

struct Max {
  static float Combine(float a, float b) { return a < b || b != b ? b : a; }
};

template <typename Type, typename Operation>
void Reduce(absl::Span<const void* const> sources, int64_t n, void* out) {
  using Element = typename Type::Element;
  float total[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    const Element* first = static_cast<const Element*>(sources[0]) + begin;
    for (int64_t i = 0; i < count; ++i) total[i] = Type::Load(first[i]);
    for (size_t s = 1; s < sources.size(); ++s) {
      const Element* next = static_cast<const Element*>(sources[s]) + begin;
      for (int64_t i = 0; i < count; ++i) {
        total[i] = Operation::Combine(total[i], Type::Load(next[i]));
      }
    }
    Element* result = static_cast<Element*>(out) + begin;
    for (int64_t i = 0; i < count; ++i) result[i] = Type::Store(total[i]);
  }
}

}  // namespace

void ReduceInOrder(Reduction reduction, DType dtype,
                   absl::Span<const void* const> sources, int64_t n,
                   void* out) {
  CARACAL_CHECK(!sources.empty()) << "nothing to reduce";
  const bool sum = reduction == Reduction::kSum;
  switch (dtype) {
    case DType::kF32:
      return sum ? Reduce<F32, Sum>(sources, n, out)
                 : Reduce<F32, Max>(sources, n, out);
    case DType::kBF16:
      return sum ? Reduce<Bf16, Sum>(sources, n, out)
                 : Reduce<Bf16, Max>(sources, n, out);
    default:
      CARACAL_CHECK(false) << "reduction of " << NameOf(dtype);
  }
}

}  // namespace caracal
