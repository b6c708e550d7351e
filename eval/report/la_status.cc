// The rule, then its words.
#include "eval/report/la_status.h"

#include "absl/strings/str_cat.h"
#include "eval/attribution/result_intervals.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

constexpr char kSinksInstead[] = "swa_only_s4";

// "[+0.021, +0.033]"
std::string Bounds(const Interval& interval) {
  return SignedRange(interval, DecimalsFor(interval));
}

LaStatus StatusOf(const AttributionResult& result) {
  if (result.settings.recipe == "swa_control") return LaStatus::kControl;
  if (result.reach < kReachNearZero) return LaStatus::kOutOfReach;
  const Interval& u = result.what_la_brings;
  if (!u.bounded()) return LaStatus::kNotMeasured;
  if (u.below_zero()) return LaStatus::kHurts;
  if (u.above_zero()) {
    const Interval beyond = BeyondSinks(result);
    return beyond.bounded() && !beyond.above_zero() ? LaStatus::kSinkOnly
                                                    : LaStatus::kUsed;
  }
  const Interval& ustar = result.ustar;
  if (ustar.bounded() && !ustar.above_zero()) {
    return ustar.high < kUstarNearZero ? LaStatus::kWorthless
                                       : LaStatus::kTooLittleData;
  }
  return u.high < kBypassedShareOfUstar * ustar.mean ? LaStatus::kBypassed
                                                     : LaStatus::kTooWide;
}

std::string WordOf(LaStatus status, const AttributionResult& result) {
  switch (status) {
    case LaStatus::kControl:
      return "control";
    case LaStatus::kOutOfReach:
      return absl::StrCat("cannot tell: reach ", Fixed(result.reach, 2));
    case LaStatus::kNotMeasured:
      return "cannot tell: not measured";
    case LaStatus::kHurts:
      return "hurts";
    case LaStatus::kSinkOnly:
      return "used as a sink only";
    case LaStatus::kUsed:
      return "used";
    case LaStatus::kWorthless:
      return "cannot tell: nothing to bring";
    case LaStatus::kTooLittleData:
      return "cannot tell: too little data";
    case LaStatus::kBypassed:
      return "bypassed";
    case LaStatus::kTooWide:
      break;
  }
  return absl::StrCat("cannot tell: u in ", Bounds(result.what_la_brings));
}

std::string RuleOf(LaStatus status, const AttributionResult& result) {
  const Interval& u = result.what_la_brings;
  const Interval& ustar = result.ustar;
  const std::string of_u = absl::StrCat("the interval of u, ", Bounds(u), ", ");
  const std::string tenth =
      Fixed(kBypassedShareOfUstar * ustar.mean, DecimalsFor(ustar));
  const Interval beyond = BeyondSinks(result);
  switch (status) {
    case LaStatus::kControl:
      return "nothing trained this run's linear part";
    case LaStatus::kOutOfReach:
      return absl::StrCat("less than ", Fixed(kReachNearZero, 2),
                          " of the scored tokens have a past outside the "
                          "window and sinks");
    case LaStatus::kNotMeasured:
      return "u needs the modes hybrid and swa_only over at least two rows";
    case LaStatus::kHurts:
      return of_u + "lies below 0";
    case LaStatus::kSinkOnly:
      return absl::StrCat(of_u,
                          "lies above 0, but that of what is left of it "
                          "with 4 sinks in the linear part's place, ",
                          Bounds(beyond), ", does not");
    case LaStatus::kUsed:
      return absl::StrCat(
          of_u, "lies above 0",
          beyond.bounded()
              ? absl::StrCat(", and so does that of what is left of it with 4 "
                             "sinks in the linear part's place, ",
                             Bounds(beyond))
              : "");
    case LaStatus::kWorthless:
      return absl::StrCat(of_u, "includes 0, and that of u*, ", Bounds(ustar),
                          ", ends below ", Fixed(kUstarNearZero, 2),
                          ": to the teacher the past is worth next to nothing "
                          "here");
    case LaStatus::kTooLittleData:
      return absl::StrCat(of_u, "includes 0, and that of u*, ", Bounds(ustar),
                          ", includes 0 and does not end below ",
                          Fixed(kUstarNearZero, 2),
                          ": whether the past is worth anything to the teacher "
                          "takes more rows");
    case LaStatus::kBypassed:
      return absl::StrCat(of_u, "includes 0 and ends below a tenth of u*, ",
                          tenth);
    case LaStatus::kTooWide:
      break;
  }
  return absl::StrCat(
      of_u, "includes 0",
      ustar.measured()
          ? absl::StrCat(" and does not end below a tenth of u*, ", tenth)
          : ", and u* was not measured");
}

}  // namespace

LaJudgement JudgeLinearPart(const AttributionResult& result) {
  const LaStatus status = StatusOf(result);
  return {status, WordOf(status, result), RuleOf(status, result)};
}

Interval SinksInstead(const AttributionResult& result) {
  return LossDifference(result.Find("swa_only"), result.Find(kSinksInstead));
}

Interval BeyondSinks(const AttributionResult& result) {
  return LossDifference(result.Find(kSinksInstead), result.Find("hybrid"));
}

}  // namespace caracal
