#include "core/io/tokenizer/normalizer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace caracal {

std::string Normalize(const std::vector<NormalizerStep>& steps,
                      absl::string_view text) {
  std::string out(text);
  for (const NormalizerStep& step : steps) {
    switch (step.kind) {
      case NormalizerStep::Kind::kPrepend:
        if (!out.empty()) out = absl::StrCat(step.to, out);
        break;
      case NormalizerStep::Kind::kReplace:
        out = absl::StrReplaceAll(out, {{step.from, step.to}});
        break;
    }
  }
  return out;
}

}  // namespace caracal
