#include "eval/measure/measure.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "eval/measure/merge.h"
#include "eval/measure/shard_runner.h"

namespace caracal {
namespace {

// The name that a finished pass is told by; "": it is part of a later one.
std::string ProgressName(const proto::MeasurementPlan& plan, int pass) {
  switch (plan.passes(pass).role()) {
    case proto::MeasurementPass::REFERENCE:
      return "";
    case proto::MeasurementPass::SUBSET: {
      const bool last =
          pass + 1 == plan.passes_size() ||
          plan.passes(pass + 1).role() != proto::MeasurementPass::SUBSET;
      return last ? "shapley values" : "";
    }
    default:
      return plan.passes(pass).name();
  }
}

}  // namespace

absl::StatusOr<AttributionResult> MeasureAttribution(
    const Llama& model, Execution exec, PackedDataset& data,
    const MeasureOptions& options) {
  ASSIGN_OR_RETURN(const proto::MeasurementPlan plan,
                   PlanMeasurement(model, data, options));
  const std::vector<proto::MeasurementShard> shards =
      CutPlan(plan, plan.rows());
  std::vector<std::string> names;
  for (int p = 0; p < plan.passes_size(); ++p) {
    names.push_back(ProgressName(plan, p));
  }
  const auto total = static_cast<int>(
      names.size() - std::count(names.begin(), names.end(), ""));
  ShardRunner runner(model, exec, data, plan, options.stop);
  std::vector<proto::MeasurementPartial> partials;
  auto shard = shards.begin();
  int done = 0;
  for (int p = 0; p < plan.passes_size(); ++p) {
    for (; shard != shards.end() && shard->pass() == p; ++shard) {
      ASSIGN_OR_RETURN(proto::MeasurementPartial partial, runner.Run(*shard));
      partials.push_back(std::move(partial));
    }
    if (names[p].empty() || !options.progress) continue;
    options.progress(names[p], ++done, total);
  }
  return MergeMeasurement(plan, partials);
}

}  // namespace caracal
