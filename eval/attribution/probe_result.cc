// Answers are summed by sample: samples are what is resampled.
#include "eval/attribution/probe_result.h"

#include <algorithm>
#include <cstddef>

#include "eval/statistics/share.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// The teacher must get so much right for a student to be judged by the task.
constexpr double kEnough = 0.5;

// Sums over the answers of each sample that are of these facts.
struct SampleSums {
  std::vector<double> sum, count;  // (samples)
};

template <typename T>
SampleSums SumBySample(const ProbeResult& probe, const std::vector<T>& values,
                       ProbeFacts facts) {
  CARACAL_CHECK_EQ(values.size(), probe.answers());
  SampleSums sums;
  const size_t per_sample =
      probe.samples == 0
          ? 1
          : std::max<size_t>(
                1, probe.answers() / static_cast<size_t>(probe.samples));
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % per_sample == 0) {
      sums.sum.push_back(0);
      sums.count.push_back(0);
    }
    const bool outside = probe.outside[i] != 0;
    if (facts == ProbeFacts::kOutside && !outside) continue;
    if (facts == ProbeFacts::kInside && outside) continue;
    sums.sum.back() += static_cast<double>(values[i]);
    ++sums.count.back();
  }
  return sums;
}

// Means of the samples that have such answers, with their numbers of answers.
void ToMeans(SampleSums* sums) {
  size_t kept = 0;
  for (size_t i = 0; i < sums->sum.size(); ++i) {
    if (sums->count[i] == 0) continue;
    sums->sum[kept] = sums->sum[i] / sums->count[i];
    sums->count[kept++] = sums->count[i];
  }
  sums->sum.resize(kept);
  sums->count.resize(kept);
}

Interval Share(const ProbeResult& probe, const ProbeMode* mode,
               std::vector<int64_t> ProbeMode::*right, ProbeFacts facts) {
  if (mode == nullptr) return {};
  const SampleSums sums = SumBySample(probe, mode->*right, facts);
  return ShareInterval(sums.sum, sums.count);
}

}  // namespace

double ProbeResult::reach() const {
  if (outside.empty()) return 0;
  double sum = 0;
  for (const int64_t out : outside) sum += static_cast<double>(out);
  return sum / static_cast<double>(outside.size());
}

const ProbeMode* ProbeResult::Find(absl::string_view mode) const {
  for (const ProbeMode& m : modes) {
    if (m.mode == mode) return &m;
  }
  return nullptr;
}

Interval ShareAmong(const ProbeResult& probe, const ProbeMode* mode,
                    ProbeFacts facts) {
  return Share(probe, mode, &ProbeMode::among, facts);
}

Interval ShareExact(const ProbeResult& probe, const ProbeMode* mode,
                    ProbeFacts facts) {
  return Share(probe, mode, &ProbeMode::exact, facts);
}

Interval MeanNats(const ProbeResult& probe, const ProbeMode* mode,
                  ProbeFacts facts, const BootstrapOptions& options) {
  if (mode == nullptr) return {};
  SampleSums sums = SumBySample(probe, mode->nats, facts);
  ToMeans(&sums);
  return BootstrapWeightedMean(sums.sum, sums.count, options);
}

Interval DifferenceAmong(const ProbeResult& probe, const ProbeMode* a,
                         const ProbeMode* b) {
  return ShareDifference(ShareAmong(probe, a, ProbeFacts::kOutside),
                         ShareAmong(probe, b, ProbeFacts::kOutside));
}

Interval TeacherShare(const ProbeResult& probe) {
  const ProbeMode* teacher = probe.Find("teacher");
  return ShareAmong(
      probe, teacher,
      probe.reach() > 0 ? ProbeFacts::kOutside : ProbeFacts::kAll);
}

bool TeacherCan(const ProbeResult& probe) {
  const Interval share = TeacherShare(probe);
  return share.mean >= kEnough && share.low > probe.chance;
}

}  // namespace caracal
