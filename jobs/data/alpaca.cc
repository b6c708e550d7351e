#include "jobs/data/alpaca.h"

#include "absl/strings/str_cat.h"

namespace caracal {

std::string AlpacaPrompt(absl::string_view instruction,
                         absl::string_view input) {
  constexpr absl::string_view kTask =
      "Below is an instruction that describes a task";
  constexpr absl::string_view kWrite =
      "Write a response that appropriately completes the request.\n\n"
      "### Instruction:\n";
  constexpr absl::string_view kResponse = "\n\n### Response:\n";
  if (input.empty()) {
    return absl::StrCat(kTask, ". ", kWrite, instruction, kResponse);
  }
  return absl::StrCat(
      kTask, ", paired with an input that provides further context. ", kWrite,
      instruction, "\n\n### Input:\n", input, kResponse);
}

}  // namespace caracal
