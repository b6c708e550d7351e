// A Llama of one layer and one head whose weights are set by hand, so that it
// is known what its attention does: a fact token anywhere in a row is found
// again by every later token, and the answer is that fact. What a student's
// linear part makes of it hangs on its feature maps and window factor alone.
//
//     token    0 .. 7 facts, 8 .. 14 filler, 15 the question
//     keys     facts: 8 along one direction that RoPE hardly turns; others: 0
//     queries  8 along it, whatever the token
//     values   facts: their own direction; others: 0
//     logits   11 for the token of the fact that attention brought, 0 for all
//              others: a loss of ln 16 without one
#ifndef CARACAL_TESTS_ATTRIBUTION_WIRED_STUDENT_H_
#define CARACAL_TESTS_ATTRIBUTION_WIRED_STUDENT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/llama.h"
#include "tests/model/golden_model.h"

namespace caracal {

class WiredStudent {
 public:
  static constexpr int32_t kFacts = 8, kQuestion = 15, kVocabulary = 16;

  // What the linear part does with a fact's key.
  enum class LinearPart {
    kFinds,      // queries look where the keys of facts are
    kLooksAway,  // they look to the other side, where no key is
    kSilent,     // as kFinds, but gamma is 1 and alpha, 1 - gamma, 0
  };
  static absl::StatusOr<std::unique_ptr<WiredStudent>> Make(
      const kernels::HybridAttentionConfig& attention, LinearPart linear_part);

  // Filler with a fact at `position` and the question at the end: its tokens,
  // the answer last. Different for every `index`.
  static std::vector<int32_t> Row(int64_t index, int64_t tokens,
                                  int64_t position);
  // Rows 0 .. `count` - 1 of these, of which only the answers are scored.
  absl::Status SetRows(int64_t count, int64_t tokens, int64_t position);

  Llama& llama() { return model_->llama(); }
  Execution& exec() { return model_->exec(); }
  PackedDataset& data() { return *data_; }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<golden::GoldenModel> model_;
  std::unique_ptr<PackedDataset> data_;
};

}  // namespace caracal

#endif  // CARACAL_TESTS_ATTRIBUTION_WIRED_STUDENT_H_
