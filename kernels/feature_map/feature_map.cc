#include "kernels/feature_map/feature_map.h"

#include <iterator>

#include "kernels/common/dispatch.h"
#include "kernels/feature_map/feature_map_ref.h"
#include "kernels/feature_map/feature_map_simd.h"

namespace caracal::kernels {
namespace {

// Fout = F * outputs; indexed by FeatureMapKind.
constexpr int64_t kOutputsPerFeature[] = {
    2,  // kHedgehog
    1,  // kIdentity
    2,  // kExp
    1,  // kT2r
    1,  // kElu1
    2,  // kHedgehogFla
    1,  // kHedgehogHalf
    1,  // kExpHalf
};
static_assert(std::size(kOutputsPerFeature) == kFeatureMapKinds);

// Rows a task takes.
constexpr int64_t kGrain = 128;

using Rows = void (*)(FeatureMapKind, const FeatureMapArgs&, int64_t, int64_t);

}  // namespace

int64_t FeatureMapOutputs(FeatureMapKind kind, int64_t features) {
  return kOutputsPerFeature[static_cast<int>(kind)] * features;
}

void FeatureMapForward(const Context& ctx, FeatureMapKind kind,
                       ConstTensorView x, ConstTensorView weight,
                       ConstTensorView bias, TensorView phi) {
  CARACAL_CHECK_EQ(x.rank, 3);
  CARACAL_CHECK_EQ(weight.rank, 3);
  CARACAL_CHECK_EQ(phi.rank, 3);
  const int64_t rows = x.shape[0], x_heads = x.shape[1], D = x.shape[2];
  const int64_t H = phi.shape[1], F = weight.shape[2];
  const bool shared = weight.shape[0] == 1;
  CARACAL_CHECK(shared || weight.shape[0] == H) << weight.shape[0];
  const int64_t Fout = FeatureMapOutputs(kind, F);
  CARACAL_CHECK_EQ(weight.shape[1], D);
  CARACAL_CHECK(weight.contiguous());
  CARACAL_CHECK(x_heads > 0 && H % x_heads == 0) << H << " of " << x_heads;
  CARACAL_CHECK_EQ(phi.shape[0], rows);
  CARACAL_CHECK_EQ(phi.shape[2], Fout);
  CARACAL_CHECK(x.stride[2] == 1 && phi.stride[2] == 1);
  CARACAL_CHECK(D <= kMaxHeadDimension && Fout <= kMaxFeatureOutputs)
      << "D " << D << ", Fout " << Fout;
  if (bias.defined()) {
    CARACAL_CHECK(bias.contiguous());
    CARACAL_CHECK_EQ(bias.size(), weight.shape[0] * F);
  }
  const float* x_data = x.f32();
  const float* weight_data = weight.f32();
  const float* bias_data = bias.defined() ? bias.f32() : nullptr;
  float* phi_data = phi.f32();
  const Rows run = *ForCurrentIsa<Rows>(FeatureMapForwardReference,
                                        avx2::FeatureMapForwardRows,
                                        avx512::FeatureMapForwardRows);
  const int64_t pieces = (rows + kGrain - 1) / kGrain;
  ctx.pool->ParallelFor(pieces * H, [&](int64_t task, int) {
    const int64_t h = task % H, begin = task / H * kGrain;
    const int64_t x_head = h / (H / x_heads);
    FeatureMapArgs args;
    args.D = D;
    args.F = F;
    args.Fout = Fout;
    args.x = x_data + x_head * x.stride[1];
    args.x_stride = x.stride[0];
    const int64_t table = shared ? 0 : h;
    args.weight = weight_data + table * D * F;
    args.bias = bias_data == nullptr ? nullptr : bias_data + table * F;
    args.phi = phi_data + h * phi.stride[1];
    args.phi_stride = phi.stride[0];
    run(kind, args, begin, begin + kGrain < rows ? begin + kGrain : rows);
  });
}

}  // namespace caracal::kernels
