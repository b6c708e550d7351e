#include "absl/strings/str_cat.h"
#include "core/model/ops/make_cuda_ops.h"

namespace caracal {
namespace {

constexpr int64_t kGrain = 16;
constexpr int64_t kMostHeadDim = 256, kMostHidden = 16384;

absl::Status Refuse(absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat(what, ", is not run on a GPU"));
}

}  // namespace

absl::Status CheckCudaModel(const ModelConfig& model) {
  for (const auto& [name, size] :
       {std::pair("a hidden size", model.hidden_size),
        {"an MLP size", model.intermediate_size},
        {"a head dimension", model.head_dim}}) {
    if (size % kGrain == 0) continue;
    return Refuse(
        absl::StrCat(name, " of ", size, ", no multiple of ", kGrain));
  }
  if (model.head_dim > kMostHeadDim) {
    return Refuse(absl::StrCat("a head dimension of ", model.head_dim,
                               ", more than ", kMostHeadDim));
  }
  if (model.hidden_size > kMostHidden) {
    return Refuse(absl::StrCat("a hidden size of ", model.hidden_size,
                               ", more than ", kMostHidden));
  }
  return absl::OkStatus();
}

}  // namespace caracal
