// A model's configuration and weights, whatever file format they lie in.
// Names and layouts are Hugging Face's (`model.layers.0.self_attn.q_proj
// .weight`, [outputs, inputs]); formats with other conventions are translated.
#ifndef CARACAL_CORE_IO_WEIGHT_SOURCE_H_
#define CARACAL_CORE_IO_WEIGHT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/io/model_config.h"
#include "kernels/common/context.h"
#include "kernels/quant/encoding.h"

namespace caracal {

struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;
  Encoding encoding = Encoding::kF32;

  // As a matrix: the last dimension is the columns, a vector is one row.
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const {
    int64_t n = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
    return n;
  }
};

// Part of a matrix: rows [row_begin, row_end), columns [column_begin,
// column_end). An end of -1 is the matrix's own.
struct TensorSlice {
  int64_t row_begin = 0;
  int64_t row_end = -1;
  int64_t column_begin = 0;
  int64_t column_end = -1;
};

// A matrix in its encoding. `view` points into `owned`, or, where that is
// empty, into the source's file: keep the source as long.
struct EncodedMatrix {
  EncodedView view;
  std::vector<uint8_t> owned;

  EncodedMatrix() = default;
  EncodedMatrix(EncodedMatrix&&) = default;
  EncodedMatrix& operator=(EncodedMatrix&&) = default;
};

// Never changes after it was opened; thread-safe, but a Context's pool belongs
// to one caller. The file must not be changed meanwhile.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual const ModelConfig& config() const = 0;
  // What was opened: the file or folder.
  virtual const std::string& path() const = 0;
  // All that the configuration asks for, in model order, then any others the
  // file holds (feature maps of a converted model, say).
  virtual absl::Span<const TensorInfo> tensors() const = 0;
  // nullptr where there is none of that name.
  virtual const TensorInfo* Find(absl::string_view name) const = 0;

  // Decodes a slice of `name` into out [rows, columns] of the slice, on all
  // threads of ctx. kNotFound; kDataLoss when it holds a NaN or an infinity,
  // naming the first.
  virtual absl::Status ReadF32(const Context& ctx, absl::string_view name,
                               const TensorSlice& slice, float* out) const = 0;
  absl::Status ReadF32(const Context& ctx, absl::string_view name,
                       float* out) const {
    return ReadF32(ctx, name, TensorSlice(), out);
  }

  // The matrix as it is encoded, rows in Hugging Face's order. Errors as
  // ReadF32.
  virtual absl::StatusOr<EncodedMatrix> ReadEncoded(
      const Context& ctx, absl::string_view name) const = 0;

  // 32 hexadecimal digits that change with the architecture and sizes of the
  // configuration and with any name, shape, encoding or byte of the tensors,
  // and with nothing else: not with paths, sharding or token ids. Reads
  // everything, on all threads of ctx.
  virtual std::string Fingerprint(const Context& ctx) const = 0;
};

// Opens a GGUF file, or a Hugging Face folder (config.json with
// model.safetensors or model.safetensors.index.json), told apart by what is
// there. Everything is checked against the configuration: a tensor that is
// missing or has a wrong shape or type is an error that names it, its file
// and what was expected. No weight is read yet.
absl::StatusOr<std::unique_ptr<WeightSource>> OpenModel(
    const std::string& path, FileSystem* files = FileSystem::Posix());

}  // namespace caracal

#endif  // CARACAL_CORE_IO_WEIGHT_SOURCE_H_
