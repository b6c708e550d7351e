#include "jobs/client/service/watch_view.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/utf8.h"
#include "eval/report/numbers.h"
#include "eval/report/spark_line.h"
#include "jobs/client/progress_words.h"
#include "jobs/client/service/job_words.h"
#include "jobs/client/table.h"
#include "jobs/spec/job_file.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

constexpr int kLabel = 12, kValue = 10;  // columns
constexpr int kMostBars = 48;

double NumberOr(const Json& json, const char* key, double otherwise) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>()
                                                   : otherwise;
}

std::string WordOr(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>()
                                                   : "";
}

}  // namespace

std::vector<double> StepSeries::Binned(int columns) const {
  const int64_t count = static_cast<int64_t>(values_.size());
  const int64_t bins = std::min<int64_t>(count, std::max(1, columns));
  std::vector<double> out;
  for (int64_t bin = 0; bin < bins; ++bin) {
    const int64_t begin = bin * count / bins, end = (bin + 1) * count / bins;
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += values_[i];
    out.push_back(sum / static_cast<double>(end - begin));
  }
  return out;
}

WatchView::WatchView(const proto::JobInfo& job)
    : job_(job),
      state_(job.state()),
      changed_(TimeOf(job.changed())),
      hosts_(job.hosts().begin(), job.hosts().end()) {
  std::vector<Problem> problems;
  const proto::Job spec = ParseJob(job.job(), "job", nullptr, &problems);
  for (const proto::Stage& stage : spec.stages()) {
    stages_.push_back(
        {stage.has_transfer() ? "transfer" : "finetune", StepsOf(stage)});
  }
}

std::string WatchView::Add(const proto::JobEvent& event) {
  if (event.kind() == "metrics") {
    AddMetrics(event.data());
    return "";
  }
  if (event.kind() == "state") return AddState(event);
  if (event.kind() == "gang") {
    const Json data = Json::parse(event.data(), nullptr, false);
    if (!data.is_object() || !data.contains("hosts")) return "";
    hosts_.clear();
    for (const Json& host : data["hosts"]) {
      if (host.is_string()) hosts_.push_back(host.get<std::string>());
    }
    return absl::StrCat("ranks ", HostWords(hosts_));
  }
  if (event.kind() == "removed") {
    return absl::StrCat("metrics and decisions up to event ", event.sequence(),
                        " are no longer kept");
  }
  if (event.kind() == "store") {
    const Json data = Json::parse(event.data(), nullptr, false);
    if (!data.is_object()) return "";
    const std::string why = WordOr(data, "why");
    return why.empty() ? "the coordinator stores changes again"
                       : absl::StrCat(
                             "the coordinator can't store changes, and "
                             "tells nothing new meanwhile: ",
                             why);
  }
  if (event.kind() == "tuned") {
    const Json data = Json::parse(event.data(), nullptr, false);
    if (!data.is_object()) return "";
    std::string what;
    const double p = NumberOr(data, "drop_probability", NAN);
    const double w = NumberOr(data, "window", NAN);
    if (!std::isnan(p)) absl::StrAppend(&what, " p = ", p);
    if (!std::isnan(w)) {
      absl::StrAppend(&what, what.empty() ? "" : ",", " W = ", w);
    }
    return absl::StrCat("tuned by ", WordOr(data, "by"), ":",
                        what.empty() ? " back to the curriculum" : what);
  }
  return "";
}

std::string WatchView::AddState(const proto::JobEvent& event) {
  const Json data = Json::parse(event.data(), nullptr, false);
  proto::JobState state;
  if (!data.is_object() ||
      !proto::JobState_Parse(WordOr(data, "state"), &state)) {
    return "";
  }
  state_ = state;
  reason_ = WordOr(data, "reason");
  changed_ = TimeOf(event.time());
  if (state == proto::LAUNCHING) {
    ++gangs_;
    hosts_.clear();
  }
  return absl::StrCat(StateWord(state), ": ",
                      reason_.empty() ? WordOr(data, "because") : reason_);
}

void WatchView::AddMetrics(const std::string& text) {
  const Json data = Json::parse(text, nullptr, false);
  if (!data.is_object()) return;
  const int stage = static_cast<int>(NumberOr(data, "stage_index", 0));
  const int64_t step = static_cast<int64_t>(NumberOr(data, "step", 0));
  if (stage != stage_) {
    for (StepSeries* series : {&loss_, &validation_, &tokens_per_s_, &drop_,
                               &window_, &ratio_, &use_, &potential_}) {
      series->Clear();
    }
  }
  stage_ = stage;
  step_ = step;
  const auto masses = data.find("la_mass");
  if (masses != data.end() && masses->is_array()) {
    la_mass_.clear();
    for (const Json& mass : *masses) {
      la_mass_.push_back(mass.is_number() ? mass.get<double>() : NAN);
    }
  }
  const auto held = data.find("curriculum_held");
  held_ = held != data.end() && held->is_boolean() && held->get<bool>();
  for (const auto& [key, series] :
       {std::pair("loss", &loss_), std::pair("validation_loss", &validation_),
        std::pair("tokens_per_s", &tokens_per_s_),
        std::pair("drop_probability", &drop_), std::pair("window", &window_),
        std::pair("r", &ratio_), std::pair("u", &use_),
        std::pair("u_star", &potential_)}) {
    const double value = NumberOr(data, key, NAN);
    if (std::isfinite(value)) series->Add(value);
  }
}

std::string WatchView::StepLine() const {
  if (stage_ < 0) return "";
  const bool known = stage_ < static_cast<int>(stages_.size());
  std::string line =
      absl::StrCat(known ? stages_[stage_].name : "stage", " step ", step_,
                   known ? absl::StrCat("/", stages_[stage_].steps) : "");
  if (!loss_.empty()) absl::StrAppend(&line, ", loss ", LossText(loss_.last()));
  if (!validation_.empty()) {
    absl::StrAppend(&line, ", validation ", LossText(validation_.last()));
  }
  if (!tokens_per_s_.empty()) {
    absl::StrAppend(&line, ", ", Count(std::llround(tokens_per_s_.last())),
                    " tokens/s");
  }
  if (!drop_.empty()) {
    absl::StrAppend(&line, ", p ", absl::StrFormat("%.3g", drop_.last()));
  }
  if (!window_.empty()) absl::StrAppend(&line, ", W ", window_.last());
  return line;
}

std::vector<std::string> WatchView::Lines(const Console& console,
                                          absl::Time now) const {
  const bool styled = console.StyledOut();
  const int columns = console.columns() - 1;
  std::vector<std::string> lines;
  const auto cut = [&](absl::string_view text) {
    return CutToColumns(text, columns, console.unicode);
  };
  google::protobuf::Timestamp changed;
  changed.set_seconds(absl::ToUnixSeconds(changed_));
  lines.push_back(cut(absl::StrCat(
      "job ", job_.id(), " ", job_.name(), ": ", StateWord(state_), ", ",
      AgoWords(changed, now), gangs_ > 1 ? absl::StrCat(", gang ", gangs_) : "",
      reason_.empty() ? "" : absl::StrCat(": ", reason_))));
  lines.back() = Styled(lines.back(), StyleOf(state_), styled);
  const int room = std::clamp(columns - 2 - kLabel - kValue - 2, 8, kMostBars);
  for (int i = 0; i < static_cast<int>(stages_.size()); ++i) {
    const Stage& stage = stages_[i];
    const bool over = state_ == proto::SUCCEEDED || i < stage_;
    const int64_t done = over ? stage.steps : i == stage_ ? step_ : 0;
    const double share = stage.steps == 0
                             ? (over ? 1 : 0)
                             : static_cast<double>(done) / stage.steps;
    lines.push_back(
        cut(absl::StrFormat("  %-*s%*s  %s", kLabel, stage.name, kValue,
                            absl::StrCat(done, "/", stage.steps),
                            Bar(share, room, console.unicode))));
    if (i != stage_) lines.back() = Styled(lines.back(), Style::kDim, styled);
  }
  const auto fact = [&](const char* label, const StepSeries& series,
                        const std::string& value, double low, double high) {
    if (series.empty()) return;
    const std::vector<double> bins = series.Binned(room);
    if (std::isnan(low)) low = *std::min_element(bins.begin(), bins.end());
    if (std::isnan(high)) high = *std::max_element(bins.begin(), bins.end());
    lines.push_back(
        cut(absl::StrFormat("  %-*s%*s  %s", kLabel, label, kValue, value,
                            SparkLine(bins, low, high, console.unicode))));
  };
  if (!loss_.empty()) fact("loss", loss_, LossText(loss_.last()), NAN, NAN);
  if (!validation_.empty()) {
    fact("validation", validation_, LossText(validation_.last()), NAN, NAN);
  }
  if (!tokens_per_s_.empty()) {
    fact("tokens/s", tokens_per_s_, Count(std::llround(tokens_per_s_.last())),
         0, NAN);
  }
  if (!drop_.empty()) {
    fact(held_ ? "p (held)" : "p", drop_, absl::StrFormat("%.3f", drop_.last()),
         0, 1);
  }
  if (!window_.empty()) {
    fact(held_ ? "W (held)" : "W", window_, absl::StrCat(window_.last()), 0,
         NAN);
  }
  if (!ratio_.empty()) {
    fact("r = u/u*", ratio_, absl::StrFormat("%.3f", ratio_.last()), 0, NAN);
  }
  if (!use_.empty() && !potential_.empty()) {
    lines.push_back(cut(absl::StrFormat(
        "  %-*s%*s  of %.4f nats", kLabel, "u", kValue,
        absl::StrFormat("%.4f", use_.last()), potential_.last())));
  }
  if (const std::string bars = LaMassBars(room, console.unicode);
      !bars.empty()) {
    lines.push_back(cut(bars));
  }
  if (!hosts_.empty()) {
    lines.push_back(
        cut(absl::StrFormat("  %-*s%*d  %s", kLabel, "ranks", kValue,
                            hosts_.size(), HostWords(hosts_))));
  }
  return lines;
}

std::string WatchView::LaMassBars(int room, bool unicode) const {
  // Neighbours share a bar where there are more layers than room.
  const auto layers = static_cast<int64_t>(la_mass_.size());
  const int64_t bars = std::min<int64_t>(layers, room);
  std::vector<double> bins;
  double sum = 0, count = 0, high = 0;
  for (int64_t bar = 0; bar < bars; ++bar) {
    double bin = 0, in_bin = 0;
    for (int64_t i = bar * layers / bars; i < (bar + 1) * layers / bars; ++i) {
      if (std::isnan(la_mass_[i])) continue;
      bin += la_mass_[i];
      ++in_bin;
    }
    bins.push_back(in_bin > 0 ? bin / in_bin : NAN);
    if (in_bin > 0) high = std::max(high, bins.back());
    sum += bin;
    count += in_bin;
  }
  if (count == 0) return "";
  return absl::StrFormat("  %-*s%*s  %s", kLabel, "LA mass", kValue,
                         absl::StrFormat("%.1f%%", 100 * sum / count),
                         SparkLine(bins, 0, high, unicode));
}

}  // namespace caracal
