#include "jobs/coordinator/access/slurm_rules.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "jobs/launch/slurm/slurm_options.h"
#include "jobs/spec/slurm_fields.h"

namespace caracal {
namespace {

using Names = std::optional<std::vector<std::string>>;

void CheckNames(const std::string& field, const std::string& value,
                const Names& allowed, std::vector<Problem>* problems) {
  if (value.empty() || !allowed.has_value() || IsAboutSame(*problems, field)) {
    return;
  }
  for (const absl::string_view name : absl::StrSplit(value, ',')) {
    if (std::find(allowed->begin(), allowed->end(), name) != allowed->end()) {
      continue;
    }
    problems->push_back(
        {field,
         allowed->empty()
             ? absl::StrCat("is '", value,
                            "', but this coordinator lets no job choose it")
             : absl::StrCat("is '", value, "', but this coordinator allows '",
                            name, "' to no job; expected one of ",
                            absl::StrJoin(*allowed, ", ")),
         ""});
    return;
  }
}

}  // namespace

void CheckSlurmRules(const proto::Job& expanded, const SlurmRules& rules,
                     std::vector<Problem>* problems) {
  if (!AsksSlurm(expanded)) return;
  if (!rules.has_slurm) {
    problems->push_back(
        {"slurm",
         "this coordinator starts gangs on its own machine, not as jobs of "
         "Slurm (`caracald --launcher slurm` does that); leave it out",
         ""});
    return;
  }
  const proto::Slurm& slurm = expanded.slurm();
  CheckNames("slurm.partition", slurm.partition(), rules.partitions, problems);
  CheckNames("slurm.account", slurm.account(), rules.accounts, problems);
  CheckNames("slurm.qos", slurm.qos(), rules.qos, problems);
  CheckNames("slurm.reservation", slurm.reservation(), rules.reservations,
             problems);
  const std::optional<absl::Duration> time = ParseSlurmTime(slurm.time());
  const absl::Duration least = LeastTimeLimit(rules.save_before_limit);
  if (time.has_value() && *time < least &&
      !IsAboutSame(*problems, "slurm.time")) {
    problems->push_back(
        {"slurm.time",
         absl::StrCat("is ", slurm.time(), ", but gangs are asked to save ",
                      absl::FormatDuration(rules.save_before_limit),
                      " before their limit, or up to a minute earlier; "
                      "expected at least ",
                      absl::FormatDuration(least)),
         ""});
  }
}

}  // namespace caracal
