// For tests: one model twice, on the host and on the GPU.
#ifndef CARACAL_TESTS_GPU_MODEL_PAIR_H_
#define CARACAL_TESTS_GPU_MODEL_PAIR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/weight_source.h"
#include "core/model/llama.h"
#include "jobs/model/compute.h"

namespace caracal {

// A model with adapters whose parameters are all random, drawn alike on both
// sides.
struct ModelSide {
  ModelSide() : compute(AvailableCores()) {}

  Compute compute;
  LlamaWeights weights;
  std::unique_ptr<Adapters> adapters;
  std::unique_ptr<Llama> llama;
};

struct ModelPair {
  std::unique_ptr<WeightSource> source;
  ModelSide host, gpu;

  static absl::StatusOr<std::unique_ptr<ModelPair>> Load(
      const std::string& path, const StudentConfig& student);

  void SetTrained(const std::vector<ParameterGroup>& groups);
};

// Random tokens of several sequences.
class RandomBatch {
 public:
  RandomBatch(const std::vector<int64_t>& lengths, int64_t vocabulary);
  TokenBatch batch() const;
  int64_t rows() const { return offsets_.back(); }

 private:
  std::vector<int64_t> offsets_ = {0};
  std::vector<int32_t> tokens_, targets_, positions_;
};

// |a - b| / |b|, of vectors.
double RelativeError(const std::vector<float>& a, const std::vector<float>& b);

// All gradients of a group, one after another.
std::vector<float> GradientsOf(ParameterStore& store, ParameterGroup group);

}  // namespace caracal

#endif  // CARACAL_TESTS_GPU_MODEL_PAIR_H_
