#include "kernels/embedding/embedding_simd.h"

#include "kernels/common/simd_loop.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

void AddRow(const float* x, int64_t n, float* out) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    lanes.Store(out + i, lanes.Load(out + i) + lanes.Load(x + i));
  });
}

}  // namespace

const EmbeddingLoops kEmbeddingLoops = {AddRow};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
