#include "jobs/convert/student.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "jobs/train/layer_split.h"
#include "jobs/train/student_config.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<Student>> Student::Load(
    const proto::Job& job, const WeightSource& source, Gang& gang,
    const Execution& exec, const IndexRange* layers) {
  auto student = std::make_unique<Student>();
  ASSIGN_OR_RETURN(const StudentConfig config,
                   StudentConfigOf(job, source.config()));
  LlamaParts parts;
  if (layers != nullptr) {
    parts.layers = *layers;
    parts.embedding = gang.place().layer == 0;
    parts.head = false;
  }
  ASSIGN_OR_RETURN(
      student->weights,
      LlamaWeights::Load(exec.host(), source,
                         Shard{gang.place().tensor, gang.shape().tensor},
                         WeightForm::kDense, parts,
                         {.device = exec.device, .lora = &config.lora}));
  student->adapters =
      std::make_unique<Adapters>(student->weights.adapter_shape(), config);
  student->adapters->Initialize(job.seed());
  if (exec.device != nullptr) {
    RETURN_IF_ERROR(student->adapters->parameters().PlaceOn(exec.device));
  }
  student->llama =
      std::make_unique<Llama>(&student->weights, student->adapters.get());
  return student;
}

absl::StatusOr<std::vector<IndexRange>> BalanceLayers(
    const proto::Job& job, const WeightSource& source, Gang& gang,
    const Execution& exec, int64_t seq_len, std::vector<double>* costs) {
  ASSIGN_OR_RETURN(const StudentConfig config,
                   StudentConfigOf(job, source.config()));
  absl::StatusOr<std::vector<double>> measured = MeasureLayerCosts(
      exec, source, Shard{gang.place().tensor, gang.shape().tensor}, config,
      job.budget().micro_batch(), seq_len);
  RETURN_IF_ERROR(gang.Agree(measured.status()));
  // Ranks measure at once, as they will run, and one of them decides.
  if (!gang.leads()) measured->assign(measured->size(), 0);
  RETURN_IF_ERROR(gang.Sum(absl::MakeSpan(*measured)));
  *costs = *std::move(measured);
  return SplitLayers(*costs, gang.shape().layer);
}

std::string LayerSplitWords(const std::vector<IndexRange>& split,
                            const std::vector<double>& costs) {
  const double even = std::accumulate(costs.begin(), costs.end(), 0.0) /
                      static_cast<double>(split.size());
  constexpr size_t kMost = 8;
  std::string layers, shares;
  for (size_t i = 0; i < split.size(); ++i) {
    if (i == kMost) {
      absl::StrAppend(&layers, " and so on");
      absl::StrAppend(&shares, " ...");
      break;
    }
    absl::StrAppend(&layers, i == 0 ? "" : " | ", split[i].begin, " to ",
                    split[i].end - 1);
    absl::StrAppendFormat(&shares, "%s%.2f", i == 0 ? "" : ", ",
                          std::accumulate(costs.begin() + split[i].begin,
                                          costs.begin() + split[i].end, 0.0) /
                              even);
  }
  return absl::StrCat("layers ", layers, "; ", shares,
                      " of an even share of the time");
}

}  // namespace caracal
