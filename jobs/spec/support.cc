#include "jobs/spec/support.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/model/feature_map_name.h"
#include "jobs/spec/problem.h"
#include "kernels/hybrid_attention/weight_loss_cuda_limits.h"

namespace caracal {
namespace {

int64_t OutputsOf(const proto::Attention& a) {
  const auto map = FeatureMapFromName(a.feature_map(), a.half_space());
  return kernels::FeatureMapOutputs(
      map.value_or(kernels::FeatureMapKind::kHedgehog), a.features());
}

}  // namespace

std::vector<Problem> CudaProblems(const proto::Job& expanded, int64_t head_dim,
                                  size_t block_bytes) {
  std::vector<Problem> problems;
  const auto refuse = [&](const std::string& field, const std::string& what) {
    problems.push_back({field, absl::StrCat(what, " is not run on a GPU"), ""});
  };
  const proto::Attention& a = expanded.attention();
  const int64_t most =
      kernels::WeightLossCudaMostFeatures(head_dim, block_bytes);
  for (int i = 0; i < expanded.stages_size(); ++i) {
    const proto::Stage& stage = expanded.stages(i);
    const std::string path = absl::StrCat("stages[", i, "].");
    if (!stage.has_transfer()) continue;
    const proto::TransferLoss& loss = stage.transfer().loss();
    if ((loss.xent() > 0 || loss.kl() > 0) && OutputsOf(a) > most) {
      refuse(absl::StrCat(path, "transfer.loss"),
             absl::StrCat("a loss on attention weights whose feature map has ",
                          OutputsOf(a), " outputs, more than the ", most,
                          " that fit a block's shared memory,"));
    }
  }
  return problems;
}

}  // namespace caracal
