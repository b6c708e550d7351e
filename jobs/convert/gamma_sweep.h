// Inference-time hybridisation: chooses gamma, the softmax part's weight, for
// a model whose window factors were not trained, by held-out loss.
#ifndef CARACAL_JOBS_CONVERT_GAMMA_SWEEP_H_
#define CARACAL_JOBS_CONVERT_GAMMA_SWEEP_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/adapters.h"
#include "jobs/train/held_out_probe.h"

namespace caracal {

struct GammaSweep {
  struct Point {
    double gamma;
    double loss;  // nats a token, held out
  };
  std::vector<Point> points;  // in rising order of gamma
  double chosen = 0;          // gamma of the lowest loss
};

// Sets every head's window factor to logit(gamma).
void SetGamma(double gamma, Adapters* adapters);

// Tries each gamma (in (0, 1)) on the probe's rows in `mode`, and leaves the
// best one set.
absl::StatusOr<GammaSweep> SweepGamma(const std::vector<double>& gammas,
                                      ComponentMode mode, HeldOutProbe& probe,
                                      Adapters* adapters);

// {"chosen": g, "points": [{"gamma": g, "loss": l}, ...]}
std::string GammaSweepToJson(const GammaSweep& sweep);
// kDataLoss saying what is wrong.
absl::StatusOr<GammaSweep> GammaSweepFromJson(const std::string& text);

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_GAMMA_SWEEP_H_
