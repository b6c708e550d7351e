// For tests: contents that are a function of a number, and a check that a
// folder holds exactly them.
#ifndef CARACAL_DIST_CHECKPOINT_SAMPLE_CONTENTS_H_
#define CARACAL_DIST_CHECKPOINT_SAMPLE_CONTENTS_H_

#include <cstring>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "dist/checkpoint/contents.h"
#include "dist/checkpoint/reader.h"

namespace caracal {

class SampleContents {
 public:
  // `elements`: of the largest tensor; a multiple of 4.
  explicit SampleContents(uint64_t step, uint64_t elements = 64) {
    for (uint64_t i = 0; i < elements; ++i) {
      parameters_.push_back(0.1f * static_cast<float>(step + i));
      moments_.push_back(-1e-30f * static_cast<float>(step * i));
    }
    rows_ = {static_cast<int64_t>(step), -1, INT64_MAX};
    flags_ = {1, 0, static_cast<uint8_t>(step)};
    contents_.step = step;
    contents_.model_fingerprint = "model-a";
    contents_.job_fingerprint = "job-a";
    contents_.data_fingerprint = "data-a";
    contents_.validation_fingerprint = "validation-a";
    contents_.created_by = "caracal test";
    contents_.tensors = {
        {"parameters/layers/0/w_q",
         DType::kF32,
         {4, elements / 4},
         parameters_.data(),
         {}},
        {"optimizer/m/layers/0/w_q",
         DType::kF32,
         {4, elements / 4},
         moments_.data(),
         TensorShard{{8, elements / 4}, {4, 0}}},
        {"cursor/rows", DType::kI64, {3}, rows_.data(), {}},
        {"cursor/flags", DType::kU8, {3, 1}, flags_.data(), {}},
        {"empty", DType::kI32, {0, 5}, nullptr, {}},
        {"scalar", DType::kF32, {}, parameters_.data(), {}},
    };
    contents_.strings = {
        {"schedule", "{\"step\": " + std::to_string(step) + "}"}, {"note", ""}};
    contents_.integers = {{"rng_seed", -static_cast<int64_t>(step)}};
    contents_.numbers = {{"best_loss", 0.1 + static_cast<double>(step)}};
  }
  SampleContents(const SampleContents&) = delete;
  SampleContents& operator=(const SampleContents&) = delete;

  const CheckpointContents& get() const { return contents_; }
  CheckpointContents* mutable_get() { return &contents_; }
  // Overwrites the tensors, as the next training step would.
  void Scribble() {
    for (float& value : parameters_) value = -77;
    for (float& value : moments_) value = -78;
    rows_.assign(rows_.size(), -79);
  }

  // Reads the folder back and compares bit by bit.
  void ExpectIn(FileSystem* files, const std::string& folder) const {
    ASSERT_OK_AND_ASSIGN(const CheckpointReader reader,
                         CheckpointReader::Open(files, folder));
    EXPECT_EQ(reader.manifest().step, contents_.step);
    EXPECT_EQ(reader.manifest().job_fingerprint, contents_.job_fingerprint);
    EXPECT_EQ(reader.manifest().data_fingerprint, contents_.data_fingerprint);
    EXPECT_EQ(reader.manifest().validation_fingerprint,
              contents_.validation_fingerprint);
    EXPECT_EQ(reader.manifest().created_by, contents_.created_by);
    EXPECT_OK(reader.CheckModel(contents_.model_fingerprint));
    ASSERT_OK_AND_ASSIGN(const auto names, reader.TensorNames());
    EXPECT_EQ(names.size(), contents_.tensors.size());
    for (const CheckpointTensor& tensor : contents_.tensors) {
      size_t bytes = SizeOf(tensor.dtype);
      for (const uint64_t extent : tensor.shape) bytes *= extent;
      std::vector<char> read(bytes);
      const std::vector<uint64_t> start(tensor.shape.size(), 0);
      ASSERT_OK(reader.ReadBlock(
          tensor.name, tensor.dtype,
          tensor.shard ? tensor.shard->global_shape : tensor.shape,
          tensor.shard ? tensor.shard->offset : start, tensor.shape,
          read.data()));
      if (bytes > 0) {
        EXPECT_EQ(std::memcmp(read.data(), tensor.data, bytes), 0)
            << tensor.name;
      }
      ASSERT_OK_AND_ASSIGN(const auto pieces, reader.Pieces(tensor.name));
      ASSERT_EQ(pieces.size(), 1);
      EXPECT_EQ(pieces[0].shape, tensor.shape);
      EXPECT_EQ(pieces[0].offset, tensor.shard ? tensor.shard->offset : start);
    }
    for (const auto& [name, value] : contents_.strings) {
      EXPECT_EQ(*reader.String(name), value);
    }
    for (const auto& [name, value] : contents_.integers) {
      EXPECT_EQ(*reader.Integer(name), value);
    }
    for (const auto& [name, value] : contents_.numbers) {
      EXPECT_EQ(*reader.Number(name), value);
    }
  }

 private:
  std::vector<float> parameters_;
  std::vector<float> moments_;
  std::vector<int64_t> rows_;
  std::vector<uint8_t> flags_;
  CheckpointContents contents_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_SAMPLE_CONTENTS_H_
