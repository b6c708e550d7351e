// The real SmolLM2-135M-Instruct, from the GGUF file that the environment
// variable CARACAL_SMOLLM2 names, beside its golden rows.
#ifndef CARACAL_TESTS_MODEL_SMOLLM2_MODEL_H_
#define CARACAL_TESTS_MODEL_SMOLLM2_MODEL_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {

inline constexpr char kSmolLm2Folder[] = "tests/golden/smollm2/";

class SmolLm2Test : public testing::Test {
 protected:
  static constexpr int64_t kTokens = 512;

  void SetUp() override {
    const char* path = std::getenv("CARACAL_SMOLLM2");
    ASSERT_NE(path, nullptr) << "CARACAL_SMOLLM2 must name the GGUF file";
    ASSERT_OK_AND_ASSIGN(rows_, ReadGoldenTensors(std::string(kSmolLm2Folder) +
                                                  "rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(path));
  }

  void SetUntrained(int64_t sinks) {
    kernels::HybridAttentionConfig config;
    config.window = 64;
    config.sinks = sinks;
    ASSERT_OK(model_->SetStudent(config, {}, ""));
  }

  GoldenBatch Rows(int64_t first, int64_t count) {
    return GoldenBatch(GoldenRows(rows_, "tokens", first, count, kTokens + 1),
                       kTokens);
  }

  GoldenTensors rows_;
  std::unique_ptr<GoldenModel> model_;
};

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_SMOLLM2_MODEL_H_
