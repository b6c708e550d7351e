#include "kernels/embedding/embedding_simd.h"

#include "kernels/common/simd.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

constexpr int kLanes = Vec::kLanes;

void AddRow(const float* x, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Store(out + i, Load(out + i) + Load(x + i));
  }
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    StoreN(out + i, LoadN(out + i, rest) + LoadN(x + i, rest), rest);
  }
}

}  // namespace

const EmbeddingLoops kEmbeddingLoops = {AddRow};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
