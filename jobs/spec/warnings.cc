#include "jobs/spec/warnings.h"

#include "absl/strings/str_cat.h"

namespace caracal {

std::vector<std::string> JobWarnings(const proto::Job& expanded,
                                     const JobSurroundings& around) {
  std::vector<std::string> warnings;
  const int64_t window = expanded.attention().window();
  const int64_t sinks = expanded.attention().sinks();
  const int64_t tokens = TrainedTokens(expanded, around);
  if (LinearPastEmpty(expanded.attention(), window, tokens)) {
    warnings.push_back(absl::StrCat(
        "attention.window: is ", window, ", which with ", sinks,
        " sinks covers whole rows of ", tokens,
        " tokens: the linear part gets no key, so it is neither trained nor "
        "measured"));
  }
  if (expanded.budget().batch() > around.train.rows) {
    warnings.push_back(absl::StrCat(
        "budget.batch: is ", expanded.budget().batch(), ", but the data has ",
        around.train.rows, around.train.rows == 1 ? " row" : " rows",
        ": every step sees rows more than once"));
  }
  if (expanded.data().validation() == expanded.data().path()) {
    warnings.push_back(
        "data.validation: is data.path again: what is held out is trained on");
  }
  int64_t steps = 0;
  for (const proto::Stage& stage : expanded.stages()) {
    steps += stage.has_transfer() ? stage.transfer().steps()
                                  : stage.finetune().steps();
  }
  if (steps == 0 && expanded.stages_size() > 0) {
    warnings.push_back("stages: none has a step: nothing is trained");
  }
  // Twice the cores may be meant; more is a slip, and slow.
  if (expanded.threads() > 2 * around.cores) {
    warnings.push_back(absl::StrCat(
        "threads: is ", expanded.threads(), ", but there ",
        around.cores == 1 ? "is 1 core"
                          : absl::StrCat("are ", around.cores, " cores"),
        ": threads that wait for a core slow the others down"));
  }
  return warnings;
}

}  // namespace caracal
