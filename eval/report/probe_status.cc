#include "eval/report/probe_status.h"

#include <cstdint>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eval/report/la_status.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

constexpr int kDecimals = 2;

std::string Share(const Interval& share) {
  return absl::StrCat(Fixed(share.mean, kDecimals), " ",
                      Range(share, kDecimals));
}

ProbeStatus StatusOf(const ProbeResult& probe, const Interval& brings,
                     const Interval& worth) {
  if (!TeacherCan(probe)) return ProbeStatus::kTeacherCannot;
  if (probe.reach() == 0) return ProbeStatus::kOutOfReach;
  if (!brings.bounded()) return ProbeStatus::kNotMeasured;
  if (brings.below_zero()) return ProbeStatus::kHurts;
  if (brings.above_zero()) return ProbeStatus::kUsed;
  if (worth.bounded() && !worth.above_zero()) {
    return worth.high < kWorthNearZero ? ProbeStatus::kWorthless
                                       : ProbeStatus::kTooFewFacts;
  }
  return brings.high < kBypassedShareOfUstar * worth.mean
             ? ProbeStatus::kBypassed
             : ProbeStatus::kNotSeen;
}

std::string WordOf(ProbeStatus status, const ProbeResult& probe,
                   const Interval& brings) {
  switch (status) {
    case ProbeStatus::kTeacherCannot:
      return TeacherShare(probe).measured()
                 ? absl::StrCat("cannot tell: the teacher gets ",
                                Share(TeacherShare(probe)))
                 : "cannot tell: the teacher was not asked";
    case ProbeStatus::kOutOfReach:
      return absl::StrCat("cannot tell: reach ", Fixed(0, kDecimals));
    case ProbeStatus::kNotMeasured:
      return "cannot tell: not measured";
    case ProbeStatus::kHurts:
      return "hurts";
    case ProbeStatus::kUsed:
      return "used";
    case ProbeStatus::kWorthless:
      return "cannot tell: nothing to bring";
    case ProbeStatus::kTooFewFacts:
      return "cannot tell: too few facts";
    case ProbeStatus::kBypassed:
      return "bypassed";
    case ProbeStatus::kNotSeen:
      break;
  }
  return absl::StrCat("no use seen: at most ", Fixed(brings.high, kDecimals));
}

int64_t OutsideCount(const ProbeResult& probe) {
  return std::accumulate(probe.outside.begin(), probe.outside.end(),
                         int64_t{0});
}

// "1.00 [0.81, 1.00], with a window 0.00 [0.00, 0.19]"
std::string OfTeacher(const ProbeResult& probe) {
  const auto share = [&](absl::string_view mode) {
    return Share(ShareAmong(probe, probe.Find(mode), ProbeFacts::kOutside));
  };
  return absl::StrCat(share("teacher"), ", with a window ",
                      share("teacher_swa"));
}

// What hybrid, swa_only and the teacher get of the facts outside.
std::string Evidence(const ProbeResult& probe) {
  const auto share = [&](absl::string_view mode) {
    return ShareAmong(probe, probe.Find(mode), ProbeFacts::kOutside);
  };
  std::string text =
      absl::StrCat(" Of the facts outside window and sinks the student gets ",
                   Share(share("hybrid")), ", without its linear part ",
                   Share(share("swa_only")));
  if (share("teacher").measured()) {
    absl::StrAppend(&text, ", its teacher ", Share(share("teacher")));
  }
  return text + ".";
}

}  // namespace

ProbeJudgement JudgeProbe(const ProbeResult& probe) {
  ProbeJudgement judgement;
  judgement.brings =
      DifferenceAmong(probe, probe.Find("hybrid"), probe.Find("swa_only"));
  judgement.worth =
      DifferenceAmong(probe, probe.Find("teacher"), probe.Find("teacher_swa"));
  judgement.status = StatusOf(probe, judgement.brings, judgement.worth);
  judgement.word = WordOf(judgement.status, probe, judgement.brings);
  return judgement;
}

std::string ProbeTitle(const ProbeResult& probe) {
  std::string name = probe.probe;
  if (!name.empty()) name[0] = absl::ascii_toupper(name[0]);
  return absl::StrCat(name, ", ", Count(probe.length), " tokens");
}

Finding ProbeFinding(const ProbeResult& probe) {
  const ProbeJudgement judgement = JudgeProbe(probe);
  Finding finding{Tone::kWarning,
                  absl::StrCat(ProbeTitle(probe), ": ", judgement.word, ".")};
  switch (judgement.status) {
    case ProbeStatus::kTeacherCannot:
      finding.tone = Tone::kPlain;
      break;
    case ProbeStatus::kOutOfReach:
      absl::StrAppend(&finding.text, " No fact lies outside window and sinks.");
      break;
    case ProbeStatus::kNotMeasured:
      finding.tone = Tone::kPlain;
      absl::StrAppend(&finding.text,
                      " That takes the modes hybrid and swa_only.");
      break;
    case ProbeStatus::kWorthless:
      absl::StrAppend(&finding.text,
                      " The teacher hardly needs what lies outside: it gets ",
                      OfTeacher(probe), ".");
      break;
    case ProbeStatus::kTooFewFacts:
      absl::StrAppend(&finding.text, " Of the facts outside (",
                      OutsideCount(probe), ") the teacher gets ",
                      OfTeacher(probe),
                      ": more of them would tell whether it needs what lies "
                      "there.");
      break;
    case ProbeStatus::kUsed:
      finding.tone = Tone::kGood;
      absl::StrAppend(&finding.text, Evidence(probe));
      break;
    case ProbeStatus::kHurts:
    case ProbeStatus::kBypassed:
    case ProbeStatus::kNotSeen:
      absl::StrAppend(&finding.text, Evidence(probe));
      break;
  }
  return finding;
}

Finding ProbesHeadline(const std::vector<ProbeResult>& probes) {
  size_t used = 0, judged = 0;
  for (const ProbeResult& probe : probes) {
    const ProbeStatus status = JudgeProbe(probe).status;
    used += status == ProbeStatus::kUsed;
    judged += status == ProbeStatus::kUsed || status == ProbeStatus::kHurts ||
              status == ProbeStatus::kBypassed ||
              status == ProbeStatus::kNotSeen;
  }
  const std::string told =
      judged == probes.size()
          ? absl::StrCat(judged, judged == 1 ? " probe" : " probes")
          : absl::StrCat(judged, " (of ", probes.size(),
                         ") probes that can tell");
  if (used > 0) {
    return {Tone::kGood,
            absl::StrCat("The linear part is used: in ", used, " of the ", told,
                         " it brings answers whose fact lies outside window "
                         "and sinks.")};
  }
  if (judged > 0) {
    return {
        Tone::kWarning,
        absl::StrCat("No use of the linear part is seen: in none of the ", told,
                     " does it bring answers whose fact lies outside "
                     "window and sinks.")};
  }
  return {Tone::kWarning,
          "The text probes cannot tell whether the linear part is used."};
}

}  // namespace caracal
