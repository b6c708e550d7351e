// A prompt of a text probe: something is stated early, and asked for at the
// end. Plain values.
#ifndef CARACAL_EVAL_PROBE_PROBE_SAMPLE_H_
#define CARACAL_EVAL_PROBE_PROBE_SAMPLE_H_

#include <cstdint>
#include <vector>

namespace caracal {

// Positions are indices into ProbeSample::tokens.
struct ProbeAnswer {
  int64_t begin = 0, end = 0;            // the answer's tokens
  int64_t fact_begin = 0, fact_end = 0;  // those that state it
  // (end - begin) for each token of the answer those that could stand there,
  // its own among them; rising, no two the same.
  std::vector<std::vector<int32_t>> candidates;

  // The share of such answers that guessing among the candidates gets right.
  double Chance() const {
    double chance = 1;
    for (const auto& at : candidates) chance /= static_cast<double>(at.size());
    return chance;
  }
};

struct ProbeSample {
  std::vector<int32_t> tokens;  // ends with the last answer
  std::vector<ProbeAnswer> answers;

  // Where in the prompt the answer's fact begins: 0 its start, 1 its end.
  double Depth(const ProbeAnswer& answer) const {
    return static_cast<double>(answer.fact_begin) /
           static_cast<double>(answers.front().begin);
  }
};

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_PROBE_SAMPLE_H_
