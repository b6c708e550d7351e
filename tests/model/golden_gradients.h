// Gradients of one micro-batch of a stage, and their comparison with a
// golden's.
#ifndef CARACAL_TESTS_MODEL_GOLDEN_GRADIENTS_H_
#define CARACAL_TESTS_MODEL_GOLDEN_GRADIENTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/model/mode_plan.h"
#include "core/model/ops/attention.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {

// Every group is trained, with gradients 0.
void TrainEverything(GoldenModel* model);

// Means over the converted layers' elements (mse) and rows.
struct TransferLosses {
  double mse = 0, xent = 0, kl = 0;
};

// Both leave gradients in the model's parameters. Transfer: of
// output_weight * mse + attention_weight * xent, adapters off.
TransferLosses TransferGradients(GoldenModel* model, const GoldenBatch& batch,
                                 uint8_t terms, double output_weight,
                                 double attention_weight);
// Fine-tuning: of the mean loss of the targets whose mask [rows] is 1, which
// is returned. Errors are in model->exec().status.
double FinetuneGradients(GoldenModel* model, const GoldenBatch& batch,
                         const ModePlan& plan,
                         const std::vector<int32_t>& mask);

// Expects every gradient `case_name`/... of the golden to be within
// tolerance(parameter) of its norm, and at least `at_least` of them; and that
// what the golden has no gradient of has none.
void CompareGradients(const GoldenTensors& golden, const std::string& case_name,
                      const ParameterStore& store,
                      const std::function<double(const Parameter&)>& tolerance,
                      int at_least);

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_GOLDEN_GRADIENTS_H_
