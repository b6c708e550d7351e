// Golden data of tests/golden, as tests use it. What each file holds:
// tests/golden/README.md.
#ifndef CARACAL_TESTS_MODEL_GOLDEN_H_
#define CARACAL_TESTS_MODEL_GOLDEN_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace caracal::golden {

struct GoldenTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;  // row-major
};
using GoldenTensors = std::map<std::string, GoldenTensor>;

// "tests/golden/model/tiny_gqa": relative to where Bazel runs a test.
std::string ModelFolder(const std::string& model);

// Every tensor of an fp32 safetensors file.
absl::StatusOr<GoldenTensors> ReadGoldenTensors(const std::string& path);
absl::StatusOr<nlohmann::json> ReadGoldenJson(const std::string& path);

// The first `rows` rows of `name` in a rows.safetensors, cut to `columns`
// each; as integers.
std::vector<int32_t> GoldenRows(const GoldenTensors& tensors,
                                const std::string& name, int64_t first_row,
                                int64_t rows, int64_t columns);

double Norm(const std::vector<float>& values);  // 2-norm

// |a - b| / |b|; |a| where b is 0.
double RelativeDifference(const std::vector<float>& a,
                          const std::vector<float>& b);

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_GOLDEN_H_
