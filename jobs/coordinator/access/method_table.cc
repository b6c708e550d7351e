#include "jobs/coordinator/access/method_table.h"

namespace caracal {
namespace {

// Of others' jobs, changes are an admin's (CheckOwner).
constexpr MethodRule kRules[] = {
    {"Jobs.Info", Role::kViewer},
    {"Jobs.Get", Role::kViewer},
    {"Jobs.List", Role::kViewer},
    {"Jobs.Watch", Role::kViewer},
    {"Jobs.Logs", Role::kViewer},
    {"Jobs.Submit", Role::kSubmitter, true},
    {"Jobs.Validate", Role::kSubmitter},
    {"Jobs.Cancel", Role::kSubmitter, true},
    {"Jobs.Resume", Role::kSubmitter, true},
    {"Jobs.Remove", Role::kSubmitter, true},
    {"Jobs.SetPriority", Role::kSubmitter, true},
    {"Jobs.Tune", Role::kSubmitter, true},
    {"Evaluations.Get", Role::kViewer},
    {"Evaluations.List", Role::kViewer},
    {"Evaluations.ReadParts", Role::kViewer},
    {"Evaluations.Create", Role::kSubmitter, true},
    {"Evaluations.Cancel", Role::kSubmitter, true},
    // Workers run under a user's token: its own evaluations, an admin's all.
    {"Evaluations.Lease", Role::kSubmitter},
    {"Evaluations.Renew", Role::kSubmitter},
    {"Evaluations.Complete", Role::kSubmitter},
    {"Evaluations.Fail", Role::kSubmitter},
    {"Checkpoints.List", Role::kViewer},
    {"Tokens.Create", Role::kAdmin, true},
    {"Tokens.List", Role::kAdmin},
    {"Tokens.Revoke", Role::kAdmin, true},
    {"Gangs.Register", std::nullopt},
    {"Gangs.Heartbeat", std::nullopt},
    {"Gangs.Direct", std::nullopt},
};

}  // namespace

const MethodRule* FindMethodRule(absl::string_view method) {
  for (const MethodRule& rule : kRules) {
    if (method == rule.method) return &rule;
  }
  return nullptr;
}

}  // namespace caracal
