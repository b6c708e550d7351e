// One function a finding; each returns nothing where its numbers are missing.
#include "eval/report/verdict.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eval/attribution/result_intervals.h"
#include "eval/report/finished.h"
#include "eval/report/numbers.h"
#include "eval/report/probe_status.h"

namespace caracal {
namespace {

// Fewer rows than this make even a bootstrap interval rough.
constexpr int64_t kFewRows = 10;
// A head is called bypassed when the linear part carries less than this share
// of what the teacher keeps outside the window, if that is worth counting.
constexpr double kBypassedShare = 0.5;
constexpr double kWorthCounting = 0.01;
// The preset that trains LoRA on the window alone.
constexpr char kControlPreset[] = "swa_control";

// "0.027 nats per token (95% interval 0.021 to 0.033)" of a difference whose
// direction the sentence already says.
std::string Amount(Interval interval) {
  if (interval.mean < 0) {
    interval = {-interval.mean, -interval.high, -interval.low};
  }
  const int decimals = DecimalsFor(interval);
  return absl::StrCat(Fixed(interval.mean, decimals),
                      " nats per token (95% interval ",
                      Fixed(interval.low, decimals), " to ",
                      Fixed(interval.high, decimals), ")");
}

// "0.001 nats per token, and the 95% interval, -0.003 to +0.005, includes
// zero"
std::string AmountAroundZero(const Interval& interval) {
  const int decimals = DecimalsFor(interval);
  return absl::StrCat(Signed(interval.mean, decimals),
                      " nats per token, and the 95% interval, ",
                      Signed(interval.low, decimals), " to ",
                      Signed(interval.high, decimals), ", includes zero");
}

// "0.027 nats per token higher" of a difference without an interval.
std::string Compared(double difference) {
  return absl::StrCat(Fixed(std::abs(difference), 3), " nats per token ",
                      difference < 0 ? "lower" : "higher");
}

// What is said of a single row: a figure, and that it is one row's.
constexpr char kOneRow[] = " One row gives no interval: it may be chance.";

std::string Short(const Interval& interval) {
  return Fixed(std::abs(interval.mean), DecimalsFor(interval));
}

// "the bare window", "the window and 4 sinks"
std::string WindowWords(const AttributionResult& result) {
  const int64_t sinks = result.settings.sinks;
  if (sinks == 0) return "the bare window";
  return absl::StrCat("the window and ", sinks,
                      sinks == 1 ? " sink" : " sinks");
}

// The control's own baseline: the untrained teacher with the same window and
// sinks.
const ModeResult* OwnBaseline(const AttributionResult& result) {
  const ModeResult* own = result.Find("teacher_swa");
  if (own != nullptr) return own;
  return result.Find(absl::StrCat("teacher_swa_s", result.settings.sinks));
}

Finding ControlHeadline(const AttributionResult& result) {
  const ModeResult* before = OwnBaseline(result);
  const ModeResult* after = result.Find("swa_only");
  const Interval gain = LossDifference(before, after);
  const std::string lora = absl::StrCat("LoRA with ", WindowWords(result));
  if (!gain.bounded()) {
    return {Tone::kWarning,
            absl::StrCat("What ", lora,
                         " buys was not measured: that takes the modes "
                         "teacher_swa and swa_only over at least two rows.")};
  }
  if (!gain.excludes_zero()) {
    return {Tone::kWarning,
            absl::StrCat("Nothing that ", lora,
                         " bought can be measured: the loss falls by ",
                         AmountAroundZero(gain), ".")};
  }
  return {Tone::kPlain,
          absl::StrCat(lora, ", without any linear part, takes the loss from ",
                       Fixed(before->loss, 3), " to ", Fixed(after->loss, 3),
                       gain.above_zero() ? ": it buys " : ": it costs ",
                       Amount(gain), ".")};
}

Finding HybridHeadline(LaStatus status, const AttributionResult& result) {
  const Interval& u = result.what_la_brings;
  switch (status) {
    case LaStatus::kUsed:
      return {Tone::kGood,
              absl::StrCat("The linear part is used: without it the loss "
                           "rises by ",
                           Amount(u), ".")};
    case LaStatus::kSinkOnly:
      return {Tone::kWarning,
              absl::StrCat("The linear part is used as a sink only: without it "
                           "the loss rises by ",
                           Amount(u),
                           ", but 4 untrained sinks in its place do as well.")};
    case LaStatus::kBypassed:
      return {Tone::kWarning,
              absl::StrCat("The linear part is bypassed: removing it changes "
                           "the loss by ",
                           AmountAroundZero(u), ".")};
    case LaStatus::kWorthless:
    case LaStatus::kTooLittleData:
    case LaStatus::kTooWide:
      return {Tone::kWarning,
              absl::StrCat("No use of the linear part can be measured: "
                           "removing it changes the loss by ",
                           AmountAroundZero(u), ".")};
    case LaStatus::kHurts:
      return {Tone::kWarning,
              absl::StrCat("The linear part hurts: without it the loss falls "
                           "by ",
                           Amount(u), ".")};
    case LaStatus::kOutOfReach:
      return {Tone::kWarning,
              absl::StrCat("This text cannot say anything about the linear "
                           "part: only ",
                           Percent(result.reach),
                           " of its scored tokens have a past outside the "
                           "window (reach).")};
    case LaStatus::kControl:
      return ControlHeadline(result);
    case LaStatus::kNotMeasured:
      break;
  }
  if (u.measured()) {
    return {Tone::kWarning,
            absl::StrCat("On the one row that was scored the loss without the "
                         "linear part is ",
                         Compared(u.mean), ".", kOneRow)};
  }
  return {Tone::kWarning,
          "What the linear part brings was not measured: that takes the modes "
          "hybrid and swa_only."};
}

// Of a run that finished as another mode first what it lost, and no colour:
// what follows is said of a model that is not meant to be run.
Finding Headline(LaStatus status, const AttributionResult& result) {
  Finding headline = HybridHeadline(status, result);
  if (status == LaStatus::kControl || FinishedAsHybrid(result.settings)) {
    return headline;
  }
  headline.text[0] = absl::ascii_tolower(headline.text[0]);
  return {Tone::kPlain,
          absl::StrCat("This run ", FinishedWords(result),
                       ". Of the same model run as a hybrid: ", headline.text)};
}

// "The hybrid", "As la_only the student".
std::string Subject(const AttributionResult& result) {
  return FinishedAsHybrid(result.settings)
             ? "The hybrid"
             : absl::StrCat("As ", FinishedMode(result.settings),
                            " the student");
}

std::optional<Finding> ReachWarning(const AttributionResult& result) {
  if (!(result.reach < kReachNearZero)) return std::nullopt;
  return Finding{
      Tone::kWarning,
      absl::StrCat("With a window of ", result.settings.window, " and ",
                   result.settings.sinks, " sinks, rows of ",
                   result.settings.tokens_per_row,
                   " tokens hardly ever reach the linear part. Losses below "
                   "that look like success say nothing about it: measure on "
                   "longer rows or with a smaller window.")};
}

std::optional<Finding> FewRowsWarning(const AttributionResult& result) {
  const ModeResult* hybrid = result.Find("hybrid");
  if (hybrid == nullptr || hybrid->per_row.size() >= kFewRows) {
    return std::nullopt;
  }
  const size_t rows = hybrid->per_row.size();
  return Finding{
      Tone::kWarning,
      absl::StrCat("Only ", rows, rows == 1 ? " row was" : " rows were",
                   rows == 1 ? " scored: no figure has an interval."
                             : " scored: the intervals are rough.")};
}

// The share of u in u*, and in what is left of u* once four sinks are kept.
std::optional<Finding> WorthOfThePast(LaStatus status,
                                      const AttributionResult& result) {
  const Interval& ustar = result.ustar;
  if (status == LaStatus::kOutOfReach || !ustar.bounded()) return std::nullopt;
  const std::string around =
      absl::StrCat(Signed(ustar.mean, DecimalsFor(ustar)), " ",
                   SignedRange(ustar, DecimalsFor(ustar)));
  if (!ustar.above_zero() && !(ustar.high < kUstarNearZero)) {
    return Finding{
        Tone::kWarning,
        absl::StrCat("Whether the past outside the window is worth anything to "
                     "the teacher itself, these rows cannot tell (",
                     around, "): more rows would.")};
  }
  if (!ustar.above_zero()) {
    return Finding{
        Tone::kWarning,
        absl::StrCat("To the teacher itself the past outside the window is "
                     "worth nothing that can be measured here (",
                     around,
                     "): there is nothing for a linear part to bring.")};
  }
  const int64_t sinks = result.settings.sinks;
  std::string text = absl::StrCat(
      "To the untrained teacher the past outside the window",
      sinks > 0 ? " and sinks" : "", " is worth ", Amount(ustar), ".");
  const Interval& u = result.what_la_brings;
  const Interval all_of_attention =
      LossDifference(result.Find("none"), result.Find("hybrid"));
  if (!u.above_zero() || !all_of_attention.excludes_zero()) {
    return Finding{Tone::kPlain, text};
  }
  absl::StrAppend(&text, " The linear part brings ", Short(u), ", ",
                  Percent(u.mean / ustar.mean), " of that");
  const Interval beyond_sinks =
      LossDifference(result.Find("teacher_swa_s4"), result.Find("teacher"));
  if (sinks == 0 && beyond_sinks.above_zero()) {
    absl::StrAppend(&text, ", and ", Percent(u.mean / beyond_sinks.mean),
                    " of the ", Short(beyond_sinks),
                    " that remain once 4 sinks are kept");
  }
  return Finding{Tone::kPlain, text + "."};
}

// The share of what the linear part brings that sinks would bring as well.
std::optional<Finding> SinksInPlace(const AttributionResult& result) {
  const Interval gain = SinksInstead(result);
  const Interval& u = result.what_la_brings;
  if (!gain.bounded() || !u.above_zero() || result.reach < kReachNearZero) {
    return std::nullopt;
  }
  if (!gain.above_zero()) {
    return Finding{
        Tone::kPlain,
        absl::StrCat("4 untrained sinks in the linear part's place replace "
                     "nothing of it that can be measured: they take ",
                     Signed(gain.mean, DecimalsFor(gain)), " ",
                     SignedRange(gain, DecimalsFor(gain)),
                     " off the loss of the window alone.")};
  }
  const double share = gain.mean / u.mean;
  std::string text =
      absl::StrCat("4 untrained sinks in the linear part's place would bring ",
                   Amount(gain));
  if (LossDifference(result.Find("none"), result.Find("hybrid"))
          .excludes_zero()) {
    absl::StrAppend(&text, ", ",
                    share < 1 ? Percent(share) + " of what" : "all that",
                    " the linear part does");
  }
  text += ".";
  const Interval beyond = BeyondSinks(result);
  if (beyond.below_zero()) {
    absl::StrAppend(&text,
                    " Without the linear part and with sinks this "
                    "student would be better by ",
                    Short(beyond), ".");
  }
  return Finding{share < 0.5 ? Tone::kPlain : Tone::kWarning, text};
}

std::optional<Finding> SinksAlone(const AttributionResult& result) {
  const ModeResult* bare = result.Find("teacher_swa_s0");
  const ModeResult* sinks = result.Find("teacher_swa_s4");
  const Interval gain = LossDifference(bare, sinks);
  if (!gain.bounded()) return std::nullopt;
  const std::string range = absl::StrCat("from ", Fixed(bare->loss, 3), " to ",
                                         Fixed(sinks->loss, 3));
  if (!gain.excludes_zero()) {
    return Finding{Tone::kPlain,
                   absl::StrCat("Sinks alone change nothing that can be "
                                "measured: with the first 4 tokens kept "
                                "visible the untrained teacher goes ",
                                range, ".")};
  }
  std::string text = absl::StrCat(
      "Sinks alone, without any training: keeping the first 4 tokens visible ",
      gain.above_zero() ? "takes" : "worsens", " the untrained teacher ", range,
      ", by ", Amount(gain));
  const Interval lost = LossDifference(bare, result.Find("teacher"));
  if (gain.above_zero() && lost.above_zero()) {
    absl::StrAppend(&text, ", ", Percent(gain.mean / lost.mean),
                    " of what a bare window loses");
  }
  const Interval& u = result.what_la_brings;
  if (u.above_zero() && gain.low > u.high && result.settings.sinks == 0) {
    absl::StrAppend(&text, ". That is ",
                    gain.mean / u.mean >= 1.95
                        ? absl::StrCat(Fixed(gain.mean / u.mean, 0), " times")
                        : "more than",
                    " what the linear part brings to this student");
  }
  return Finding{Tone::kPlain, text + "."};
}

// Whether the student, as it finished, beats an untrained window; of a hybrid
// and the better one, whose doing it is.
std::optional<Finding> AgainstBaseline(const AttributionResult& result,
                                       int64_t sinks) {
  const ModeResult* baseline =
      result.Find(absl::StrCat("teacher_swa_s", sinks));
  const ModeResult* other =
      result.Find(absl::StrCat("teacher_swa_s", sinks == 0 ? 4 : 0));
  const Interval lead = LossDifference(baseline, FindFinished(result));
  const std::string subject = Subject(result);
  if (!lead.measured()) return std::nullopt;
  const std::string name =
      absl::StrCat("the training-free baseline with ",
                   sinks == 0 ? std::string("a bare window")
                              : absl::StrCat(sinks, " sinks"));
  if (!lead.bounded()) {
    return Finding{lead.mean < 0 ? Tone::kWarning : Tone::kPlain,
                   absl::StrCat(subject, "'s loss is ", Compared(-lead.mean),
                                " than that of ", name, ".", kOneRow)};
  }
  if (lead.below_zero()) {
    return Finding{
        Tone::kWarning,
        absl::StrCat(subject, " is worse than ", name, ", by ", Amount(lead),
                     ": on this text the conversion is not worth its "
                     "training.")};
  }
  if (!lead.above_zero()) {
    return Finding{Tone::kWarning,
                   absl::StrCat(subject, " cannot be told from ", name,
                                ": the baseline's loss differs by ",
                                AmountAroundZero(lead), ".")};
  }
  std::string text =
      absl::StrCat(subject, " beats ", name, " by ", Amount(lead), ".");
  const bool better = other == nullptr || baseline->loss <= other->loss;
  const Interval without_la = LossDifference(baseline, result.Find("swa_only"));
  if (better && FinishedAsHybrid(result.settings) &&
      result.what_la_brings.above_zero() && without_la.bounded()) {
    if (without_la.above_zero()) {
      absl::StrAppend(
          &text, " With its linear part removed it would still lead by ",
          Short(without_la), ": that much is the fine-tuned window's doing.");
    } else {
      absl::StrAppend(&text,
                      " With its linear part removed that lead is gone.");
    }
  }
  return Finding{Tone::kGood, text};
}

std::optional<Finding> ToTeacher(const AttributionResult& result) {
  const Interval cost =
      LossDifference(FindFinished(result), result.Find("teacher"));
  const std::string subject = Subject(result);
  if (!cost.bounded()) return std::nullopt;
  if (!cost.excludes_zero()) {
    return Finding{Tone::kPlain,
                   absl::StrCat(subject,
                                " cannot be told from its teacher: "
                                "it differs by ",
                                AmountAroundZero(cost), ".")};
  }
  return Finding{
      Tone::kPlain,
      absl::StrCat(subject, "'s loss is ", Amount(cost),
                   cost.above_zero() ? " above" : " below", " its teacher's.",
                   cost.below_zero() ? " Fine-tuning on text like this one "
                                       "can explain that; it is no sign of "
                                       "the linear part."
                                     : "")};
}

// What the control is for, and what is left to the teacher.
std::optional<Finding> AboutControl(const AttributionResult& result) {
  const ModeResult* control = result.Find("swa_only");
  if (control == nullptr) return std::nullopt;
  std::string text = absl::StrCat(
      "This run is the control: nothing trained its linear part, so the modes "
      "that have one say nothing about a conversion. A conversion on the same "
      "budget whose hybrid does not get below ",
      Fixed(control->loss, 3), " owes nothing to its linear part.");
  const Interval cost = LossDifference(control, result.Find("teacher"));
  if (cost.above_zero()) {
    absl::StrAppend(&text, " The control is ", Amount(cost),
                    " above the teacher.");
  }
  return Finding{Tone::kPlain, text};
}

// How to get the slot that this run leaves empty.
std::optional<Finding> ControlMissing(const AttributionResult& result) {
  if (result.settings.recipe.empty()) return std::nullopt;
  return Finding{
      Tone::kPlain,
      absl::StrCat("What LoRA with ", WindowWords(result),
                   " would buy without a linear part, this run cannot say: "
                   "run the same job with preset ",
                   kControlPreset, " in another folder, and compare.")};
}

std::optional<Finding> Masses(LaStatus status,
                              const AttributionResult& result) {
  const AttentionMasses& masses = result.masses;
  const double la = GridMean(masses.la_mass);
  const double teacher = GridMean(masses.teacher_out_mass);
  if (!std::isfinite(la) || !std::isfinite(teacher)) return std::nullopt;
  size_t bypassed = 0, counted = 0;
  for (size_t layer = 0; layer < masses.la_mass.size(); ++layer) {
    for (size_t head = 0; head < masses.la_mass[layer].size(); ++head) {
      const double wanted = masses.teacher_out_mass[layer][head];
      if (!(wanted >= kWorthCounting)) continue;
      ++counted;
      bypassed += masses.la_mass[layer][head] < kBypassedShare * wanted;
    }
  }
  std::string text = absl::StrCat(
      "The teacher puts ", Percent(teacher),
      " of its attention outside the window; the linear part carries ",
      Percent(la), ", a gap of ", Signed(100 * (la - teacher), 1), " points.");
  if (bypassed > 0) {
    absl::StrAppend(&text, " In ", bypassed, " of ", counted,
                    " heads it carries less than half of the teacher's mass: "
                    "there it is bypassed.");
  }
  if (status != LaStatus::kUsed) {
    absl::StrAppend(&text, " Mass alone is no proof of use.");
  }
  const bool warn = counted > 0 && 2 * bypassed > counted;
  return Finding{warn ? Tone::kWarning : Tone::kPlain, text};
}

}  // namespace

Verdict JudgeAttribution(const AttributionResult& result) {
  if (result.modes.empty() && !result.probes.empty()) {
    return {LaStatus::kNotMeasured, "", "", ProbesHeadline(result.probes), {}};
  }
  const LaJudgement judgement = JudgeLinearPart(result);
  const LaStatus status = judgement.status;
  Verdict verdict{
      status, judgement.word, judgement.rule, Headline(status, result), {}};
  if (status == LaStatus::kControl) {
    for (std::optional<Finding> finding :
         {AboutControl(result), SinksAlone(result), FewRowsWarning(result)}) {
      if (finding.has_value()) verdict.findings.push_back(*std::move(finding));
    }
    return verdict;
  }
  for (std::optional<Finding> finding :
       {ReachWarning(result), WorthOfThePast(status, result),
        SinksInPlace(result), SinksAlone(result), AgainstBaseline(result, 0),
        AgainstBaseline(result, 4), ControlMissing(result), ToTeacher(result),
        Masses(status, result), FewRowsWarning(result)}) {
    if (finding.has_value()) verdict.findings.push_back(*std::move(finding));
  }
  return verdict;
}

}  // namespace caracal
