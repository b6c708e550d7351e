#include "eval/measure/plan_cut.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "eval/measure/plan.h"

namespace caracal {
namespace {

// Parts of a pass, where nobody says how large they are.
constexpr int64_t kPartsOfPass = 8;

}  // namespace

absl::StatusOr<std::vector<proto::MeasurementShard>> CutPlanWithin(
    const proto::MeasurementPlan& plan, int64_t rows, int64_t most) {
  const auto parts = [&](int64_t of_rows) {
    return static_cast<int64_t>(CutPlan(plan, of_rows).size());
  };
  const int64_t asked =
      rows > 0 ? rows
               : std::max<int64_t>(
                     (plan.rows() + kPartsOfPass - 1) / kPartsOfPass, 1);
  std::vector<proto::MeasurementShard> shards = CutPlan(plan, asked);
  if (static_cast<int64_t>(shards.size()) <= most) return shards;
  // The larger parts are, the fewer there are.
  int64_t too_small = asked, enough = std::max(plan.rows(), asked);
  if (const int64_t fewest = parts(enough); fewest > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its passes make ", fewest, " parts, expected at most ", most,
        " whatever --part-rows is: take fewer --rows, a larger --batch, or no "
        "--ablate"));
  }
  while (enough - too_small > 1) {
    const int64_t middle = too_small + (enough - too_small) / 2;
    (parts(middle) > most ? too_small : enough) = middle;
  }
  if (rows == 0) return CutPlan(plan, enough);
  return absl::InvalidArgumentError(
      absl::StrCat("--part-rows ", rows, " makes ", shards.size(),
                   " parts, expected at most ", most,
                   ": the smallest that works is ", enough));
}

}  // namespace caracal
