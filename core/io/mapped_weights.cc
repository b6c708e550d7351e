#include "core/io/mapped_weights.h"

#include <atomic>
#include <limits>
#include <utility>

#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/io/fingerprint.h"
#include "core/io/quoted.h"
#include "kernels/quant/dequantize.h"

namespace caracal {
namespace {

// Elements a thread decodes at least, and the most it decodes between two
// looks for non-finite values (they should still be in the cache).
constexpr int64_t kElementsPerThread = 1 << 15;
constexpr int64_t kStretch = 1 << 14;

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

EncodedView ViewOf(const MappedTensor& tensor) {
  const TensorInfo& info = tensor.info;
  return {tensor.data.data(), info.encoding, info.rows(), info.columns(),
          RowBytes(info.encoding, info.columns())};
}

// Decodes columns [begin, end) of a row. `scratch` is used when the ends are
// not the borders of blocks.
void DecodeColumns(const EncodedView& view, int64_t row, int64_t begin,
                   int64_t end, std::vector<float>* scratch, float* out) {
  const int64_t block = InfoOf(view.encoding).block_elements;
  const int64_t first = begin / block * block;
  const int64_t last = (end + block - 1) / block * block;
  const uint8_t* data = view.row(row) + RowBytes(view.encoding, first);
  if (first == begin && last == end) {
    kernels::DequantizeRow(view.encoding, data, end - begin, out);
    return;
  }
  scratch->resize(last - first);
  kernels::DequantizeRow(view.encoding, data, last - first, scratch->data());
  std::copy_n(scratch->begin() + (begin - first), end - begin, out);
}

// Keeps the smallest index of those seen, from any thread.
class FirstIndex {
 public:
  void Add(int64_t index) {
    int64_t seen = first_.load();
    while (index < seen && !first_.compare_exchange_weak(seen, index)) {
    }
  }
  // -1 when there was none.
  int64_t Get() const {
    const int64_t first = first_.load();
    return first == std::numeric_limits<int64_t>::max() ? -1 : first;
  }

 private:
  std::atomic<int64_t> first_{std::numeric_limits<int64_t>::max()};
};

}  // namespace

int64_t InterleavedRow(int64_t row, int64_t rows, int64_t heads) {
  const int64_t head_dim = rows / heads, half = head_dim / 2;
  const int64_t head = row / head_dim, inside = row % head_dim;
  return head * head_dim + inside % half * 2 + inside / half;
}

absl::StatusOr<std::unique_ptr<WeightSource>> MappedWeights::Create(
    const std::string& path, const ModelConfig& config, bool gguf_names,
    std::vector<MappedTensor> found,
    std::vector<std::shared_ptr<const void>> keep) {
  absl::flat_hash_map<std::string, size_t> by_name;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!by_name.emplace(found[i].info.name, i).second) {
      return absl::DataLossError(absl::StrCat(found[i].file, ": tensor ",
                                              Quoted(found[i].info.name),
                                              " appears twice"));
    }
  }
  std::vector<bool> taken(found.size());
  std::unique_ptr<MappedWeights> out(new MappedWeights);
  for (ExpectedTensor& expected : ExpectedTensors(config)) {
    const std::string& name = gguf_names ? expected.gguf_name : expected.name;
    const auto it = by_name.find(name);
    if (it == by_name.end()) {
      return absl::NotFoundError(absl::StrCat(path, ": tensor ", name,
                                              " is missing; expected shape ",
                                              ShapeText(expected.shape)));
    }
    MappedTensor& tensor = found[it->second];
    taken[it->second] = true;
    if (tensor.info.shape != expected.shape) {
      return absl::InvalidArgumentError(
          absl::StrCat(tensor.file, ": tensor ", name, " has shape ",
                       ShapeText(tensor.info.shape), ", expected ",
                       ShapeText(expected.shape), " from the configuration"));
    }
    tensor.info.name = std::move(expected.name);
    if (gguf_names) tensor.rotary_heads = expected.rotary_heads;
    out->tensors_.push_back(std::move(tensor));
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (taken[i]) continue;
    MappedTensor& tensor = found[i];
    RETURN_IF_ERROR(
        Annotate(CheckUnexpectedTensor(tensor.info.name, config), tensor.file));
    out->tensors_.push_back(std::move(tensor));
  }
  out->path_ = path;
  out->config_ = config;
  out->keep_ = std::move(keep);
  for (const MappedTensor& tensor : out->tensors_) {
    out->index_.emplace(tensor.info.name, out->infos_.size());
    out->infos_.push_back(tensor.info);
  }
  return std::unique_ptr<WeightSource>(std::move(out));
}

const TensorInfo* MappedWeights::Find(absl::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &infos_[it->second];
}

absl::StatusOr<const MappedTensor*> MappedWeights::FindTensor(
    absl::string_view name) const {
  const auto it = index_.find(name);
  if (it == index_.end()) {
    return absl::NotFoundError(
        absl::StrCat(path_, ": there is no tensor ", Quoted(name)));
  }
  return &tensors_[it->second];
}

absl::Status MappedWeights::NonFinite(const MappedTensor& tensor, int64_t row,
                                      int64_t column) const {
  const std::string place = tensor.info.shape.size() > 1
                                ? absl::StrCat("[", row, ", ", column, "]")
                                : absl::StrCat("[", column, "]");
  return absl::DataLossError(
      absl::StrCat(tensor.file, ": tensor ", tensor.info.name,
                   " holds a value that is not finite at ", place));
}

absl::Status MappedWeights::ReadF32(const Context& ctx, absl::string_view name,
                                    const TensorSlice& slice,
                                    float* out) const {
  ASSIGN_OR_RETURN(const MappedTensor* tensor, FindTensor(name));
  const EncodedView view = ViewOf(*tensor);
  const int64_t row_end = slice.row_end < 0 ? view.rows : slice.row_end;
  const int64_t column_end =
      slice.column_end < 0 ? view.columns : slice.column_end;
  CARACAL_CHECK(0 <= slice.row_begin && slice.row_begin <= row_end &&
                row_end <= view.rows && 0 <= slice.column_begin &&
                slice.column_begin <= column_end && column_end <= view.columns)
      << tensor->info.name << ": rows " << slice.row_begin << ".." << row_end
      << ", columns " << slice.column_begin << ".." << column_end << " of "
      << view.rows << " x " << view.columns;
  const int64_t columns = column_end - slice.column_begin;
  if (columns == 0) return absl::OkStatus();
  // Long rows go in pieces, so that a vector or an embedding table of few
  // huge rows is spread as well.
  const int64_t pieces = (columns + kStretch - 1) / kStretch;
  FirstIndex bad;  // in out
  ctx.pool->ParallelRanges(
      (row_end - slice.row_begin) * pieces,
      kElementsPerThread / std::min(columns, kStretch) + 1,
      [&](int64_t begin, int64_t end, int) {
        std::vector<float> scratch;
        for (int64_t task = begin; task < end; ++task) {
          const int64_t row = task / pieces;
          const int64_t first = task % pieces * kStretch;
          const int64_t last = std::min(columns, first + kStretch);
          const int64_t at = row * columns + first;
          const int64_t source =
              tensor->rotary_heads == 0
                  ? slice.row_begin + row
                  : InterleavedRow(slice.row_begin + row, view.rows,
                                   tensor->rotary_heads);
          DecodeColumns(view, source, slice.column_begin + first,
                        slice.column_begin + last, &scratch, out + at);
          const int64_t index = kernels::FirstNonFinite(out + at, last - first);
          if (index >= 0) bad.Add(at + index);
        }
      });
  if (bad.Get() >= 0) {
    return NonFinite(*tensor, slice.row_begin + bad.Get() / columns,
                     slice.column_begin + bad.Get() % columns);
  }
  return absl::OkStatus();
}

absl::StatusOr<EncodedMatrix> MappedWeights::ReadEncoded(
    const Context& ctx, absl::string_view name) const {
  ASSIGN_OR_RETURN(const MappedTensor* tensor, FindTensor(name));
  EncodedMatrix out;
  out.view = ViewOf(*tensor);
  const EncodedView file = out.view;
  if (tensor->rotary_heads > 0) {
    out.owned.resize(file.rows * file.row_bytes);
    out.view.data = out.owned.data();
  }
  FirstIndex bad;
  ctx.pool->ParallelRanges(
      file.rows, kElementsPerThread / std::max<int64_t>(1, file.columns) + 1,
      [&](int64_t begin, int64_t end, int) {
        std::vector<float> decoded(file.columns);
        for (int64_t row = begin; row < end; ++row) {
          if (tensor->rotary_heads > 0) {
            const int64_t source =
                InterleavedRow(row, file.rows, tensor->rotary_heads);
            std::copy_n(file.row(source), file.row_bytes,
                        out.owned.data() + row * file.row_bytes);
          }
          kernels::DequantizeRow(file.encoding, out.view.row(row), file.columns,
                                 decoded.data());
          const int64_t index =
              kernels::FirstNonFinite(decoded.data(), file.columns);
          if (index >= 0) bad.Add(row * file.columns + index);
        }
      });
  if (bad.Get() >= 0) {
    return NonFinite(*tensor, bad.Get() / file.columns,
                     bad.Get() % file.columns);
  }
  return out;
}

std::string MappedWeights::Fingerprint(const Context& ctx) const {
  std::vector<HashedTensor> hashed;
  for (const MappedTensor& tensor : tensors_) {
    hashed.push_back({&tensor.info, tensor.data});
  }
  return FingerprintOf(ctx, config_, std::move(hashed));
}

}  // namespace caracal
