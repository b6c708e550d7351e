// Checks, then one line a quantity.
#include "eval/report/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/attribution/pool_seeds.h"
#include "eval/attribution/result_intervals.h"
#include "eval/report/comparison_groups.h"
#include "eval/report/finished.h"
#include "eval/report/la_status.h"
#include "eval/report/mode_rows.h"
#include "eval/report/numbers.h"
#include "eval/report/settings_text.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;
using Kind = ComparisonLine::Kind;

// Losses of one teacher on the same rows differ by rounding at most.
constexpr double kSameTeacher = 1e-3;

absl::Status CheckSame(const ComparedRun& a, const ComparedRun& b,
                       absl::string_view what, const std::string& of_a,
                       const std::string& of_b) {
  if (of_a == of_b) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(a.name, " and ", b.name, " cannot be compared: their ", what,
                   " differ, ", of_a, " and ", of_b));
}

absl::Status CheckComparable(const ComparedRun& a, const ComparedRun& b) {
  const AttributionSettings& x = a.result.settings;
  const AttributionSettings& y = b.result.settings;
  RETURN_IF_ERROR(CheckSame(a, b, "models", x.model, y.model));
  RETURN_IF_ERROR(CheckSame(a, b, "tokens per row", Count(x.tokens_per_row),
                            Count(y.tokens_per_row)));
  RETURN_IF_ERROR(
      CheckSame(a, b, "numbers of rows", Count(x.rows), Count(y.rows)));
  if (x.rows_digest != y.rows_digest) {
    return absl::InvalidArgumentError(
        absl::StrCat(a.name, " and ", b.name,
                     " cannot be compared: their held-out rows "
                     "differ (",
                     x.data, " with digest ",
                     x.rows_digest.empty() ? "unknown" : x.rows_digest,
                     ", and ", y.data, " with digest ",
                     y.rows_digest.empty() ? "unknown" : y.rows_digest, ")"));
  }
  if (x.rows_digest.empty()) {
    RETURN_IF_ERROR(CheckSame(a, b, "held-out files", x.data, y.data));
  }
  const ModeResult* teacher = a.result.Find("teacher");
  const ModeResult* other = b.result.Find("teacher");
  if (teacher != nullptr && other != nullptr &&
      std::abs(teacher->loss - other->loss) > kSameTeacher) {
    return CheckSame(a, b, "teachers' losses", Fixed(teacher->loss, 4),
                     Fixed(other->loss, 4));
  }
  return absl::OkStatus();
}

class Builder {
 public:
  // A result of each column.
  explicit Builder(const std::vector<AttributionResult>& results)
      : results_(results) {
    for (const AttributionResult& r : results) modes_.push_back(ModeRows(r));
  }

  void Texts(const char* group, const char* label,
             const std::function<std::string(const AttributionResult&)>& text) {
    ComparisonLine line{group, label, Kind::kText, {}, {}};
    bool any = false;
    for (const AttributionResult& result : results_) {
      line.texts.push_back(text(result));
      any |= !line.texts.back().empty();
    }
    if (any) lines_.push_back(std::move(line));
  }
  void Values(const char* group, const std::string& label, Kind kind,
              const std::function<Interval(const AttributionResult&)>& value) {
    ComparisonLine line{group, label, kind, {}, {}};
    bool any = false;
    for (const AttributionResult& result : results_) {
      line.values.push_back(value(result));
      any |= line.values.back().measured();
    }
    if (any) lines_.push_back(std::move(line));
  }
  // Every mode that some run has, in the reports' order.
  void Modes(const char* group, bool baselines) {
    std::vector<std::string> labels;
    for (const std::vector<ModeRow>& rows : modes_) {
      size_t place = 0;
      for (const ModeRow& row : rows) {
        if ((row.kind == ModeKind::kBaseline) != baselines) continue;
        const auto known = std::find(labels.begin(), labels.end(), row.label);
        if (known == labels.end()) {
          labels.insert(labels.begin() + place, row.label);
          ++place;
        } else {
          place = known - labels.begin() + 1;
        }
      }
    }
    for (const std::string& label : labels) {
      ComparisonLine line{group, label, Kind::kLoss, {}, {}};
      for (const std::vector<ModeRow>& rows : modes_) {
        const auto row =
            std::find_if(rows.begin(), rows.end(),
                         [&](const ModeRow& r) { return r.label == label; });
        line.values.push_back(row == rows.end() ? Interval()
                                                : row->result->interval);
        if (row != rows.end()) line.values.back().mean = row->result->loss;
      }
      lines_.push_back(std::move(line));
    }
  }
  void Add(std::vector<ComparisonLine> lines) {
    for (ComparisonLine& line : lines) lines_.push_back(std::move(line));
  }
  std::vector<ComparisonLine> Take() { return std::move(lines_); }

 private:
  const std::vector<AttributionResult>& results_;
  std::vector<std::vector<ModeRow>> modes_;  // (columns)
  std::vector<ComparisonLine> lines_;
};

// A control's linear part is untrained: its hybrid is nobody's model, and what
// it was trained to be is swa_only.
bool IsControl(const AttributionResult& result) {
  return JudgeLinearPart(result).status == LaStatus::kControl;
}

// Whether a verdict is about a model that the run did not finish as.
bool FinishedOtherwise(const AttributionResult& result) {
  return !IsControl(result) && !FinishedAsHybrid(result.settings);
}

std::string AboutHybrid(const AttributionResult& result) {
  if (!FinishedOtherwise(result)) return "";
  return absl::StrCat("; of the same model run as a hybrid, while the run ",
                      "finished as ", FinishedMode(result.settings));
}

// What the runs, each as it finished, lie above.
void AddFinishedMinus(const std::vector<AttributionResult>& results,
                      Builder* build) {
  using Result = AttributionResult;
  const auto minus =
      [&](const std::string& label,
          const std::function<const ModeResult*(const Result&)>& other) {
        build->Values("As finished, minus", label, Kind::kDifference,
                      [&](const Result& r) {
                        return LossDifference(FindFinished(r), other(r));
                      });
      };
  minus("teacher", [](const Result& r) { return r.Find("teacher"); });
  if (results.size() > 1) {
    minus("run 1", [&](const Result& r) {
      return &r == &results[0] ? nullptr : FindFinished(results[0]);
    });
  }
  // The same fine-tuning without a linear part, of the same window and sinks.
  minus("swa_control", [&](const Result& r) -> const ModeResult* {
    for (const Result& control : results) {
      if (IsControl(control) && !IsControl(r) &&
          control.settings.window == r.settings.window &&
          control.settings.window_kind == r.settings.window_kind &&
          control.settings.sinks == r.settings.sinks) {
        return FindFinished(control);
      }
    }
    return nullptr;
  });
  for (const int sinks : {0, 4}) {
    minus(absl::StrCat("teacher_swa S=", sinks), [&](const Result& r) {
      return r.Find(absl::StrCat("teacher_swa_s", sinks));
    });
  }
}

absl::string_view LastComponent(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

double LossOf(const AttributionResult& result, absl::string_view mode) {
  const ModeResult* found = result.Find(mode);
  return found == nullptr ? std::numeric_limits<double>::quiet_NaN()
                          : found->loss;
}

// What does not depend on the run, from the first that has it.
void AddReference(const std::vector<AttributionResult>& results,
                  const char* mode, const char* name, bool teacher,
                  Comparison* comparison) {
  for (const AttributionResult& result : results) {
    const double loss = LossOf(result, mode);
    if (!std::isfinite(loss)) continue;
    comparison->references.push_back({name, loss, teacher});
    return;
  }
}

// Each seed's loss in a mode; of a single run none.
std::vector<double> LossesOfSeeds(const std::vector<const ComparedRun*>& runs,
                                  absl::string_view mode) {
  std::vector<double> losses;
  for (const ComparedRun* run : runs) {
    if (runs.size() > 1) losses.push_back(LossOf(run->result, mode));
  }
  return losses;
}

void FillPicture(const std::vector<RunGroup>& groups,
                 const std::vector<AttributionResult>& results,
                 Comparison* comparison) {
  for (size_t i = 0; i < groups.size(); ++i) {
    RunDots dots{std::string(LastComponent(groups[i].name)),
                 LossOf(results[i], "hybrid"), LossOf(results[i], "swa_only")};
    dots.hybrid_of_seeds = LossesOfSeeds(groups[i].runs, "hybrid");
    dots.swa_only_of_seeds = LossesOfSeeds(groups[i].runs, "swa_only");
    if (IsControl(results[i])) {
      dots.hybrid = std::numeric_limits<double>::quiet_NaN();
      dots.hybrid_of_seeds.clear();
    }
    comparison->dots.push_back(std::move(dots));
  }
  AddReference(results, "teacher", "teacher", true, comparison);
  // Four sinks are what is to be beaten; a bare window is far off and would
  // squeeze the rest, so it is drawn only beside runs without sinks.
  AddReference(results, "teacher_swa_s4", "window and 4 sinks, untrained",
               false, comparison);
  const bool bare = std::any_of(
      results.begin(), results.end(),
      [](const AttributionResult& r) { return r.settings.sinks == 0; });
  if (bare) {
    AddReference(results, "teacher_swa_s0", "bare window, untrained", false,
                 comparison);
  }
}

}  // namespace

absl::StatusOr<Comparison> CompareRuns(const std::vector<ComparedRun>& runs) {
  if (runs.empty()) return absl::InvalidArgumentError("no run to compare");
  for (const ComparedRun& run : runs) {
    RETURN_IF_ERROR(CheckComparable(runs[0], run));
  }
  const std::vector<RunGroup> groups = GroupBySeed(runs);
  std::vector<AttributionResult> results;  // (columns)
  for (const RunGroup& group : groups) {
    std::vector<const AttributionResult*> members;
    for (const ComparedRun* run : group.runs) members.push_back(&run->result);
    results.push_back(PoolSeeds(members));
  }
  Comparison comparison;
  const AttributionSettings& shared = runs[0].result.settings;
  comparison.about = shared.model;
  if (const std::string rows = DescribeRows(shared); !rows.empty()) {
    absl::StrAppend(&comparison.about, ", ", rows);
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    const LaJudgement judgement = JudgeLinearPart(results[i]);
    ComparedGroup column;
    column.name = groups[i].name;
    column.verdict = absl::StrCat(judgement.word, " (", judgement.rule,
                                  AboutHybrid(results[i]), ")");
    column.finished_as = FinishedMode(results[i].settings);
    column.finished_loss = LossOf(results[i], column.finished_as);
    for (const ComparedRun* run : groups[i].runs) {
      column.members.push_back(run->name);
      column.seeds.push_back(run->result.settings.seed);
    }
    comparison.columns.push_back(std::move(column));
  }
  Builder build(results);
  build.Texts("Run", "recipe",
              [](const AttributionResult& r) { return r.settings.recipe; });
  build.Texts("Run", "seed",
              [](const AttributionResult& r) { return r.settings.seed; });
  build.Texts("Run", "window, sinks", [](const AttributionResult& r) {
    return absl::StrCat(r.settings.window, ", ", r.settings.sinks);
  });
  build.Texts("Run", "finished as", [](const AttributionResult& r) {
    return FinishedMode(r.settings);
  });
  build.Values("Loss, nats per token", "as finished", Kind::kLoss,
               [](const AttributionResult& r) {
                 const ModeResult* finished = FindFinished(r);
                 if (finished == nullptr) return Interval();
                 Interval loss = finished->interval;
                 loss.mean = finished->loss;
                 return loss;
               });
  build.Modes("Loss, nats per token", /*baselines=*/false);
  AddFinishedMinus(results, &build);
  build.Values("Linear part", "u", Kind::kDifference,
               [](const AttributionResult& r) {
                 return IsControl(r) ? Interval() : r.what_la_brings;
               });
  build.Values("Linear part", "u*", Kind::kDifference,
               [](const AttributionResult& r) { return r.ustar; });
  build.Values("Linear part", "r = u / u*", Kind::kRatio,
               [](const AttributionResult& r) {
                 return IsControl(r) ? Interval() : UseRatio(r);
               });
  build.Texts("Linear part", "verdict", [](const AttributionResult& r) {
    std::string word = JudgeLinearPart(r).word;
    word.resize(std::min(word.find(':'), word.size()));
    return FinishedOtherwise(r) ? word + ", as a hybrid" : word;
  });
  build.Modes("Untrained teacher", /*baselines=*/true);
  build.Add(ProbeLines(groups));
  comparison.lines = build.Take();
  FillPicture(groups, results, &comparison);
  return comparison;
}

std::string ComparisonToJson(const Comparison& comparison) {
  Json json;
  json["about"] = comparison.about;
  json["runs"] = Json::array();
  for (const ComparedGroup& column : comparison.columns) {
    json["runs"].push_back({{"name", column.name},
                            {"verdict", column.verdict},
                            {"members", column.members},
                            {"seeds", column.seeds},
                            {"finished_as", column.finished_as}});
  }
  json["lines"] = Json::array();
  for (const ComparisonLine& line : comparison.lines) {
    Json values = Json::array();
    for (const std::string& text : line.texts) values.push_back(text);
    for (const Interval& value : line.values) {
      values.push_back(
          {{"mean", value.mean}, {"low", value.low}, {"high", value.high}});
    }
    json["lines"].push_back(
        {{"group", line.group}, {"label", line.label}, {"values", values}});
  }
  return json.dump(1, ' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace) +
         "\n";
}

}  // namespace caracal
