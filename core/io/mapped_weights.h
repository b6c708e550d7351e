// A WeightSource over memory-mapped files: what both formats become once
// their headers are read.
#ifndef CARACAL_CORE_IO_MAPPED_WEIGHTS_H_
#define CARACAL_CORE_IO_MAPPED_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/io/model_tensors.h"
#include "core/io/weight_source.h"

namespace caracal {

// One tensor of a file, encoded in `data` row after row without gaps.
struct MappedTensor {
  TensorInfo info;
  absl::Span<const uint8_t> data;
  // Heads whose rows the file interleaves (architecture.h); 0: none.
  int64_t rotary_heads = 0;
  // Where it lies, for messages: a path.
  std::string file;
};

class MappedWeights : public WeightSource {
 public:
  // `found` by the names of `config`'s format, which `gguf_names` tells; they
  // become Hugging Face's. `keep` owns what the data lies in. Fails as
  // OpenModel does.
  static absl::StatusOr<std::unique_ptr<WeightSource>> Create(
      const std::string& path, const ModelConfig& config, bool gguf_names,
      std::vector<MappedTensor> found,
      std::vector<std::shared_ptr<const void>> keep);

  const ModelConfig& config() const override { return config_; }
  const std::string& path() const override { return path_; }
  absl::Span<const TensorInfo> tensors() const override { return infos_; }
  const TensorInfo* Find(absl::string_view name) const override;
  using WeightSource::ReadF32;
  absl::Status ReadF32(const Context& ctx, absl::string_view name,
                       const TensorSlice& slice, float* out) const override;
  absl::StatusOr<EncodedMatrix> ReadEncoded(
      const Context& ctx, absl::string_view name) const override;
  std::string Fingerprint(const Context& ctx) const override;

 private:
  MappedWeights() = default;
  absl::StatusOr<const MappedTensor*> FindTensor(absl::string_view name) const;
  absl::Status NonFinite(const MappedTensor& tensor, int64_t row,
                         int64_t column) const;

  std::string path_;
  ModelConfig config_;
  std::vector<TensorInfo> infos_;  // tensors_[i].info, for tensors()
  std::vector<MappedTensor> tensors_;
  absl::flat_hash_map<std::string, size_t> index_;
  std::vector<std::shared_ptr<const void>> keep_;
};

// The row of the file that holds row `row` of an interleaved matrix of
// `heads` heads and `rows` rows.
int64_t InterleavedRow(int64_t row, int64_t rows, int64_t heads);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_MAPPED_WEIGHTS_H_
