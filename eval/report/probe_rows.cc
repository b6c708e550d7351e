#include "eval/report/probe_rows.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

void AddModes(const ProbeResult& probe, int64_t own_sinks, ProbeGroup* group) {
  for (const ProbeMode& mode : probe.modes) {
    const bool known =
        std::any_of(group->modes.begin(), group->modes.end(),
                    [&](const auto& m) { return m.mode == mode.mode; });
    if (!known) {
      group->modes.push_back({mode.mode, NameMode(mode.mode, own_sinks)});
    }
  }
}

}  // namespace

std::vector<ProbeGroup> ProbeGroups(const AttributionResult& result) {
  std::vector<ProbeGroup> groups;
  for (const ProbeResult& probe : result.probes) {
    auto group = std::find_if(
        groups.begin(), groups.end(),
        [&](const ProbeGroup& g) { return g.probe == probe.probe; });
    if (group == groups.end()) {
      group = groups.insert(groups.end(), {probe.probe, {}, {}});
    }
    group->lengths.push_back(&probe);
    AddModes(probe, result.settings.sinks, &*group);
  }
  for (ProbeGroup& group : groups) {
    std::stable_sort(group.lengths.begin(), group.lengths.end(),
                     [](const ProbeResult* a, const ProbeResult* b) {
                       return a->length < b->length;
                     });
    std::stable_sort(
        group.modes.begin(), group.modes.end(),
        [](const auto& a, const auto& b) { return a.name.rank < b.name.rank; });
  }
  return groups;
}

std::string AboutProbe(const ProbeGroup& group) {
  const double chance = group.lengths.empty() ? 0 : group.lengths[0]->chance;
  const std::string guessing =
      chance < 0.005 ? " Guessing gets next to none."
                     : absl::StrCat(" Guessing gets ", Fixed(chance, 2), ".");
  if (group.probe == "passkey") {
    return absl::StrCat(
        "A number of five digits is stated once, somewhere between unrelated "
        "sentences, and asked for at the end.",
        guessing);
  }
  if (group.probe == "recall") {
    return absl::StrCat(
        "Several pairs are stated first; at the end some are asked for "
        "again.",
        guessing);
  }
  return guessing.substr(1);
}

std::string OutsideOf(const ProbeResult& probe) {
  return absl::StrCat(
      Count(std::count(probe.outside.begin(), probe.outside.end(), 1)), " of ",
      Count(static_cast<int64_t>(probe.answers())));
}

}  // namespace caracal
