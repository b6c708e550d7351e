// What text probes that need the past measured (eval/probe), and the figures
// that follow from the single answers. Plain values, no locks.
//
// An answer's fact lies *outside* when no token of it is in A_n of the row
// that begins the answer: only linear attention sees it there. Figures about
// the linear part are over those answers; over the others, those *inside*, they
// show whether the student can do the task at all.
#ifndef CARACAL_EVAL_ATTRIBUTION_PROBE_RESULT_H_
#define CARACAL_EVAL_ATTRIBUTION_PROBE_RESULT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "eval/statistics/bootstrap.h"
#include "eval/statistics/interval.h"

namespace caracal {

// One way of running attention over all samples of a probe.
struct ProbeMode {
  std::string mode;  // "hybrid", "teacher_swa_s0", ...
  // (answers) 0 or 1. `among`: each token of the answer is the likeliest of
  // those that could stand there, the ones before it given. `exact`: it is the
  // likeliest of the vocabulary, so that greedy decoding gives the answer.
  std::vector<int64_t> among, exact;
  std::vector<double> nats;  // (answers) -log p, mean over the answer's tokens
};

struct ProbeResult {
  std::string probe;    // "passkey" or "recall"
  int64_t length = 0;   // tokens of prompt and answers, at most
  int64_t samples = 0;  // prompts
  // Of the samples' tokens, in order: equal where two runs were asked the same.
  std::string digest;
  // The answers of a sample follow one another; all samples have as many.
  std::vector<double> depth;     // (answers) where in the prompt its fact is
  std::vector<int64_t> outside;  // (answers) 0 or 1
  // Share that guessing among the candidates gets right.
  double chance = 0;
  // Only the teacher where it cannot do the task.
  std::vector<ProbeMode> modes;

  size_t answers() const { return depth.size(); }
  // Share of answers whose fact lies outside.
  double reach() const;
  const ProbeMode* Find(absl::string_view mode) const;  // nullptr: none
};

enum class ProbeFacts { kOutside, kInside, kAll };

// Share of right answers, of `among` or of `exact`, with Wilson's interval over
// samples. Not measured where mode is nullptr or no answer is of these facts.
Interval ShareAmong(const ProbeResult& probe, const ProbeMode* mode,
                    ProbeFacts facts);
Interval ShareExact(const ProbeResult& probe, const ProbeMode* mode,
                    ProbeFacts facts);
// Mean of `nats`, bootstrapped over samples.
Interval MeanNats(const ProbeResult& probe, const ProbeMode* mode,
                  ProbeFacts facts, const BootstrapOptions& options = {});
// ShareAmong(a) - ShareAmong(b), facts outside.
Interval DifferenceAmong(const ProbeResult& probe, const ProbeMode* a,
                         const ProbeMode* b);

// The teacher's share, of the facts outside where there are such, else of all;
// and whether that is enough to judge a student by: half the answers, and an
// interval above guessing.
Interval TeacherShare(const ProbeResult& probe);
bool TeacherCan(const ProbeResult& probe);

}  // namespace caracal

#endif  // CARACAL_EVAL_ATTRIBUTION_PROBE_RESULT_H_
