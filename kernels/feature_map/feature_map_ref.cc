#include "kernels/feature_map/feature_map_ref.h"

namespace caracal::kernels {

void FeatureMapForwardReference(FeatureMapKind kind, const FeatureMapArgs& args,
                                int64_t begin, int64_t end) {
  const auto& map = kFeatureMapReference<float>[static_cast<int>(kind)];
  std::vector<float> z(args.F);
  for (int64_t r = begin; r < end; ++r) {
    FeatureProjection(args.D, args.F, args.x + r * args.x_stride, args.weight,
                      args.bias, z.data());
    map.forward(args.F, z.data(), args.phi + r * args.phi_stride);
  }
}

}  // namespace caracal::kernels
