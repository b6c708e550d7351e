#include "jobs/bench/kernel_kind.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace caracal {

std::string KindOfKernel(const std::string& name) {
  const absl::string_view mangled = name;
  if (absl::StrContains(mangled, "ncclDevKernel")) return "collectives";
  // "..._GLOBAL__N__154e8914_39_hybrid_attention_cuda_hopper_forward_cu_b4c0..."
  constexpr absl::string_view kAnonymous = "_GLOBAL__N__", kEnd = "_cuda";
  const size_t at = mangled.find(kAnonymous);
  if (at == absl::string_view::npos) return "products";
  // Behind a hash and the name's length.
  size_t begin = at + kAnonymous.size();
  for (int i = 0; i < 2; ++i) {
    begin = mangled.find('_', begin);
    if (begin == absl::string_view::npos) return "products";
    ++begin;
  }
  const size_t end = mangled.find(kEnd, begin);
  if (end == absl::string_view::npos) return "products";
  return std::string(mangled.substr(begin, end - begin));
}

}  // namespace caracal
