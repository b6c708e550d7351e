#include "jobs/bench/kernel_kind.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace caracal {
namespace {

// Of the name that follows.
bool ConsumeLength(absl::string_view* mangled, int* length) {
  const size_t digits =
      std::min(mangled->find_first_not_of("0123456789"), mangled->size());
  const bool has = absl::SimpleAtoi(mangled->substr(0, digits), length);
  mangled->remove_prefix(digits);
  return has;
}

}  // namespace

std::string KindOfKernel(const std::string& name) {
  const absl::string_view mangled = name;
  if (absl::StrContains(mangled, "ncclDevKernel")) return "collectives";
  // "_ZN7caracal7kernels4cuda11weight_loss8KeyTilesILi16EEEvNS2_7ProblemEf"
  absl::string_view space = mangled;
  int length = 0;
  if (absl::ConsumePrefix(&space, "_ZN7caracal7kernels4cuda") &&
      ConsumeLength(&space, &length) && length <= space.size() &&
      !absl::StartsWith(space, "_GLOBAL__")) {
    return std::string(space.substr(0, length));
  }
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
