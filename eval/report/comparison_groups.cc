#include "eval/report/comparison_groups.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/statistics/seeds.h"
#include "eval/statistics/share.h"

namespace caracal {
namespace {

bool SameButForSeed(const AttributionSettings& a,
                    const AttributionSettings& b) {
  return !a.job_digest.empty() && a.job_digest == b.job_digest &&
         !a.seed.empty() && !b.seed.empty() && a.seed != b.seed &&
         a.window == b.window && a.sinks == b.sinks &&
         a.window_kind == b.window_kind;
}

// "runs/ssd (2 seeds)" of runs/ssd-seed1 and runs/ssd-seed2.
std::string NameOf(const std::vector<const ComparedRun*>& runs) {
  if (runs.size() == 1) return runs[0]->name;
  std::string shared = runs[0]->name;
  for (const ComparedRun* run : runs) {
    size_t n = 0;
    while (n < shared.size() && n < run->name.size() &&
           shared[n] == run->name[n]) {
      ++n;
    }
    shared.resize(n);
  }
  // Within a number its whole; and what it was joined on with says nothing.
  const auto goes_on = [&](const ComparedRun* run) {
    return run->name.size() > shared.size() &&
           absl::ascii_isdigit(run->name[shared.size()]);
  };
  if (std::any_of(runs.begin(), runs.end(), goes_on)) {
    shared.erase(shared.find_last_not_of("0123456789") + 1);
  }
  const auto trim = [&] { shared.erase(shared.find_last_not_of("-_.= ") + 1); };
  trim();
  if (absl::EndsWith(shared, "seed")) {
    shared.resize(shared.size() - 4);
    trim();
  }
  if (shared.empty() || shared.back() == '/') shared = runs[0]->name;
  return absl::StrCat(shared, " (", runs.size(), " seeds)");
}

const ProbeResult* FindProbe(const AttributionResult& result,
                             const ProbeResult& like) {
  for (const ProbeResult& probe : result.probes) {
    if (probe.probe == like.probe && probe.length == like.length &&
        probe.digest == like.digest) {
      return &probe;
    }
  }
  return nullptr;
}

// Right answers of each prompt over all seeds, and each seed's share.
Interval ShareOverSeeds(const RunGroup& group, const ProbeResult& like,
                        const char* mode) {
  ProbeResult pooled;
  pooled.samples = 0;
  std::vector<double> right, answers, of_seeds;
  for (const ComparedRun* run : group.runs) {
    const ProbeResult* probe = FindProbe(run->result, like);
    if (probe == nullptr) return {};
    const ProbeMode* found = probe->Find(mode);
    if (found == nullptr) return {};
    const size_t each = probe->answers() / static_cast<size_t>(probe->samples);
    right.resize(probe->samples);
    answers.resize(probe->samples);
    for (size_t i = 0; i < probe->answers(); ++i) {
      if (probe->outside[i] == 0) continue;
      right[i / each] += static_cast<double>(found->among[i]);
      ++answers[i / each];
    }
    of_seeds.push_back(ShareAmong(*probe, found, ProbeFacts::kOutside).mean);
  }
  Interval share = WidenBySeeds(ShareInterval(right, answers), of_seeds);
  share.low = std::max(0.0, share.low);
  share.high = std::min(1.0, share.high);
  return share;
}

}  // namespace

std::vector<RunGroup> GroupBySeed(const std::vector<ComparedRun>& runs) {
  std::vector<RunGroup> groups;
  for (const ComparedRun& run : runs) {
    const auto fits = [&](const RunGroup& group) {
      return std::all_of(
          group.runs.begin(), group.runs.end(), [&](const ComparedRun* other) {
            return SameButForSeed(run.result.settings, other->result.settings);
          });
    };
    auto group = std::find_if(groups.begin(), groups.end(), fits);
    if (group == groups.end()) group = groups.insert(groups.end(), RunGroup());
    group->runs.push_back(&run);
  }
  for (RunGroup& group : groups) group.name = NameOf(group.runs);
  return groups;
}

std::vector<ComparisonLine> ProbeLines(const std::vector<RunGroup>& groups) {
  std::vector<const ProbeResult*> probes;  // the first of each
  for (const RunGroup& group : groups) {
    for (const ProbeResult& probe : group.runs[0]->result.probes) {
      const bool known = std::any_of(probes.begin(), probes.end(),
                                     [&](const ProbeResult* other) {
                                       return other->probe == probe.probe &&
                                              other->length == probe.length &&
                                              other->digest == probe.digest;
                                     });
      if (!known) probes.push_back(&probe);
    }
  }
  std::vector<ComparisonLine> lines;
  for (const ProbeResult* probe : probes) {
    for (const auto& [mode, label] :
         {std::pair("hybrid", ""), {"swa_only", ", swa_only"}}) {
      ComparisonLine line{
          "Text probes, share right of facts outside",
          absl::StrCat(probe->probe, " ", Count(probe->length), label),
          ComparisonLine::Kind::kShare,
          {},
          {}};
      bool any = false;
      for (const RunGroup& group : groups) {
        line.values.push_back(ShareOverSeeds(group, *probe, mode));
        any |= line.values.back().measured();
      }
      if (any) lines.push_back(std::move(line));
    }
  }
  return lines;
}

}  // namespace caracal
