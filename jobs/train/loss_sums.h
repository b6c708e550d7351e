// What a stage's losses are made of.
#ifndef CARACAL_JOBS_TRAIN_LOSS_SUMS_H_
#define CARACAL_JOBS_TRAIN_LOSS_SUMS_H_

#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "dist/gang/gang.h"

namespace caracal {

// Sums over rows, of one rank or of a gang.
struct LossSums {
  double rows = 0;     // of the data
  double targets = 0;  // that count
  double nll = 0, kl = 0, dropped = 0;
  // Of transfer, by layer of the whole model: added up in one order whichever
  // ranks hold which. 0 in fine-tuning.
  struct Layer {
    double squared_error = 0, cross_entropy = 0, teacher_entropy = 0;
  };
  std::vector<Layer> layers;

  // To 0, for a model of so many layers. Keeps its memory.
  void Reset(int64_t model_layers);
  Layer OfAllLayers() const;
  // To sums over all ranks, on all ranks.
  absl::Status SumOver(Gang& gang);

 private:
  std::vector<double> values_;  // of SumOver
};

// A stage's only loss as it is, or the sum of several: {weight, loss} of each,
// of which those of weight 0 do not count.
double StageLoss(std::initializer_list<std::pair<double, double>> parts);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_LOSS_SUMS_H_
