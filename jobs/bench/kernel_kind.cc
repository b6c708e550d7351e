#include "jobs/bench/kernel_kind.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace caracal {
namespace {

// A number of decimal digits.
bool ConsumeNumber(absl::string_view* text, int* number) {
  const size_t digits =
      std::min(text->find_first_not_of("0123456789"), text->size());
  const bool is = absl::SimpleAtoi(text->substr(0, digits), number);
  text->remove_prefix(digits);
  return is;
}

}  // namespace

std::string KindOfKernel(const std::string& name) {
  if (absl::StrContains(name, "ncclDevKernel")) return "collectives";
  absl::string_view rest = name;
  int length = 0;
  // "..._GLOBAL__N__154e8914_39_hybrid_attention_cuda_hopper_forward_cu_b4c0..."
  constexpr absl::string_view kAnonymous = "_GLOBAL__N__";
  const size_t at = rest.find(kAnonymous);
  if (at != absl::string_view::npos) {
    rest.remove_prefix(at + kAnonymous.size());
    rest.remove_prefix(std::min(rest.find('_'), rest.size()));  // the hash
    if (absl::ConsumePrefix(&rest, "_") && ConsumeNumber(&rest, &length) &&
        absl::ConsumePrefix(&rest, "_")) {
      rest = rest.substr(0, length);
      absl::ConsumeSuffix(&rest, "_cu");
      return std::string(rest.substr(0, rest.find("_cuda")));
    }
  }
  // "_ZN7caracal7kernels4cuda11weight_loss8KeyTilesILi16EEEvNS2_7ProblemEf"
  if (absl::ConsumePrefix(&rest, "_ZN7caracal7kernels4cuda") &&
      ConsumeNumber(&rest, &length)) {
    return std::string(rest.substr(0, length));
  }
  return "products";
}

}  // namespace caracal
