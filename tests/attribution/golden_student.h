// The trained tiny student of the goldens with its rows as packed data: what
// an attribution measures.
#ifndef CARACAL_TESTS_ATTRIBUTION_GOLDEN_STUDENT_H_
#define CARACAL_TESTS_ATTRIBUTION_GOLDEN_STUDENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/llama.h"
#include "nlohmann/json.hpp"
#include "tests/model/golden_model.h"

namespace caracal {

class GoldenStudent {
 public:
  // Row r starts another document at every token that document_length[r]
  // divides; rows without an entry are one.
  static absl::StatusOr<std::unique_ptr<GoldenStudent>> Make(
      const kernels::HybridAttentionConfig& attention,
      const std::vector<int64_t>& document_length = {});

  Llama& llama() { return model_->llama(); }
  Execution& exec() { return model_->exec(); }
  PackedDataset& data() { return *data_; }
  // What the PyTorch reference computed.
  const nlohmann::json& expected() const { return expected_; }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<golden::GoldenModel> model_;
  std::unique_ptr<PackedDataset> data_;
  nlohmann::json expected_;
};

}  // namespace caracal

#endif  // CARACAL_TESTS_ATTRIBUTION_GOLDEN_STUDENT_H_
