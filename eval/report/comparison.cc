// Checks, then one line a quantity.
#include "eval/report/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/attribution/result_intervals.h"
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
  explicit Builder(const std::vector<ComparedRun>& runs) : runs_(runs) {
    for (const ComparedRun& run : runs) modes_.push_back(ModeRows(run.result));
  }

  void Texts(const char* group, const char* label,
             const std::function<std::string(const AttributionResult&)>& text) {
    ComparisonLine line{group, label, Kind::kText, {}, {}};
    bool any = false;
    for (const ComparedRun& run : runs_) {
      line.texts.push_back(text(run.result));
      any |= !line.texts.back().empty();
    }
    if (any) lines_.push_back(std::move(line));
  }
  void Values(const char* group, const std::string& label, Kind kind,
              const std::function<Interval(const AttributionResult&)>& value) {
    ComparisonLine line{group, label, kind, {}, {}};
    bool any = false;
    for (const ComparedRun& run : runs_) {
      line.values.push_back(value(run.result));
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
  std::vector<ComparisonLine> Take() { return std::move(lines_); }

 private:
  const std::vector<ComparedRun>& runs_;
  std::vector<std::vector<ModeRow>> modes_;  // (runs)
  std::vector<ComparisonLine> lines_;
};

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
void AddReference(const std::vector<ComparedRun>& runs, const char* mode,
                  const char* name, bool teacher, Comparison* comparison) {
  for (const ComparedRun& run : runs) {
    const double loss = LossOf(run.result, mode);
    if (!std::isfinite(loss)) continue;
    comparison->references.push_back({name, loss, teacher});
    return;
  }
}

void FillPicture(const std::vector<ComparedRun>& runs, Comparison* comparison) {
  for (const ComparedRun& run : runs) {
    // A control's linear part is untrained: its hybrid is nobody's model.
    const bool control = JudgeLinearPart(run.result).word == "control";
    comparison->dots.push_back({std::string(LastComponent(run.name)),
                                control
                                    ? std::numeric_limits<double>::quiet_NaN()
                                    : LossOf(run.result, "hybrid"),
                                LossOf(run.result, "swa_only")});
  }
  AddReference(runs, "teacher", "teacher", true, comparison);
  // Four sinks are what is to be beaten; a bare window is far off and would
  // squeeze the rest, so it is drawn only beside runs without sinks.
  AddReference(runs, "teacher_swa_s4", "window and 4 sinks, untrained", false,
               comparison);
  const bool bare = std::any_of(
      runs.begin(), runs.end(),
      [](const ComparedRun& run) { return run.result.settings.sinks == 0; });
  if (bare) {
    AddReference(runs, "teacher_swa_s0", "bare window, untrained", false,
                 comparison);
  }
}

}  // namespace

absl::StatusOr<Comparison> CompareRuns(const std::vector<ComparedRun>& runs) {
  if (runs.empty()) return absl::InvalidArgumentError("no run to compare");
  for (const ComparedRun& run : runs) {
    RETURN_IF_ERROR(CheckComparable(runs[0], run));
  }
  Comparison comparison;
  const AttributionSettings& shared = runs[0].result.settings;
  comparison.about = absl::StrCat(shared.model, ", ", DescribeRows(shared));
  for (const ComparedRun& run : runs) {
    const LaJudgement judgement = JudgeLinearPart(run.result);
    comparison.names.push_back(run.name);
    comparison.verdicts.push_back(
        absl::StrCat(judgement.word, " (", judgement.rule, ")"));
  }
  Builder build(runs);
  build.Texts("Run", "recipe",
              [](const AttributionResult& r) { return r.settings.recipe; });
  build.Texts("Run", "window, sinks", [](const AttributionResult& r) {
    return absl::StrCat(r.settings.window, ", ", r.settings.sinks);
  });
  build.Modes("Loss, nats per token", /*baselines=*/false);
  build.Values("Hybrid minus", "teacher", Kind::kDifference,
               [](const AttributionResult& r) {
                 return LossDifference(r.Find("hybrid"), r.Find("teacher"));
               });
  if (runs.size() > 1) {
    const ModeResult* first = runs[0].result.Find("hybrid");
    build.Values("Hybrid minus", "run 1's hybrid", Kind::kDifference,
                 [&](const AttributionResult& r) {
                   if (&r == &runs[0].result) return Interval();
                   return LossDifference(r.Find("hybrid"), first);
                 });
  }
  for (const int sinks : {0, 4}) {
    const std::string mode = absl::StrCat("teacher_swa_s", sinks);
    build.Values("Hybrid minus", absl::StrCat("teacher_swa S=", sinks),
                 Kind::kDifference, [&](const AttributionResult& r) {
                   return LossDifference(r.Find("hybrid"), r.Find(mode));
                 });
  }
  build.Values("Linear part", "u", Kind::kDifference,
               [](const AttributionResult& r) { return r.what_la_brings; });
  build.Values("Linear part", "u*", Kind::kDifference,
               [](const AttributionResult& r) { return r.ustar; });
  build.Values("Linear part", "r = u / u*", Kind::kRatio,
               [](const AttributionResult& r) { return UseRatio(r); });
  build.Texts("Linear part", "verdict", [](const AttributionResult& r) {
    const std::string word = JudgeLinearPart(r).word;
    return word.substr(0, word.find(':'));
  });
  build.Modes("Untrained teacher", /*baselines=*/true);
  comparison.lines = build.Take();
  FillPicture(runs, &comparison);
  return comparison;
}

std::string ComparisonToJson(const Comparison& comparison) {
  Json json;
  json["about"] = comparison.about;
  json["runs"] = Json::array();
  for (size_t i = 0; i < comparison.names.size(); ++i) {
    json["runs"].push_back(
        {{"name", comparison.names[i]}, {"verdict", comparison.verdicts[i]}});
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
