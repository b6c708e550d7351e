#include "core/model/llama_weights.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "kernels/rope/rope.h"

namespace caracal {
namespace {

// A slice of a named tensor that goes into a weight.
struct Part {
  std::string name;
  TensorSlice slice;
  int64_t rows = 0;
};

// fp32 elements that are read at a time on their way to a device.
constexpr int64_t kPieceElements = int64_t{4} << 20;

// Columns and rows of room for an adapter on each of these projections, or for
// none: products want a multiple of 16 bytes.
int64_t RoomFor(const WeightPlacement& placement,
                std::initializer_list<ProjectionName> names) {
  if (placement.lora == nullptr) return 0;
  for (const ProjectionName name : names) {
    if (!placement.lora->projections[static_cast<int>(name)]) continue;
    const auto ranks =
        placement.lora->rank * static_cast<int64_t>(names.size());
    return (ranks + 7) / 8 * 8;
  }
  return 0;
}

class Loader {
 public:
  Loader(const Context& ctx, const WeightSource& source, WeightForm form,
         const WeightPlacement& placement)
      : ctx_(ctx), source_(source), form_(form), placement_(placement) {}

  absl::StatusOr<Tensor> Vector(const std::string& name, int64_t size) {
    Tensor out = Tensor::Empty(DType::kF32, {size});
    RETURN_IF_ERROR(source_.ReadF32(ctx_, name, out.f32()));
    return Place(std::move(out));
  }

  // The parts below one another, all `columns` wide.
  absl::StatusOr<LinearWeight> Matrix(
      const std::vector<Part>& parts, int64_t columns,
      std::initializer_list<ProjectionName> names = {}) {
    if (form_ == WeightForm::kBlocks) return Encoded(parts);
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    if (placement_.device != nullptr) {
      return OnDevice(parts, rows, columns, RoomFor(placement_, names));
    }
    Tensor dense = Tensor::Empty(DType::kF32, {rows, columns});
    float* out = dense.f32();
    for (const Part& part : parts) {
      RETURN_IF_ERROR(source_.ReadF32(ctx_, part.name, part.slice, out));
      out += part.rows * columns;
    }
    return LinearWeight(std::move(dense));
  }

  // A vector or matrix of fp32, where the weights are.
  absl::StatusOr<Tensor> Place(Tensor host) {
    if (placement_.device == nullptr) return host;
    Device& device = *placement_.device;
    const TensorView& view = host.view();
    absl::StatusOr<Tensor> out =
        view.rank == 1
            ? device.Allocate(DType::kF32, {view.shape[0]})
            : device.Allocate(DType::kF32, {view.shape[0], view.shape[1]});
    RETURN_IF_ERROR(out.status());
    device.Upload(host.f32(), host.bytes(), out->f32());
    return *std::move(out);
  }

 private:
  // Through a small buffer: the file is mapped, and a large model need not fit
  // into this machine's memory.
  absl::StatusOr<LinearWeight> OnDevice(const std::vector<Part>& parts,
                                        int64_t rows, int64_t columns,
                                        int64_t room) {
    Device& device = *placement_.device;
    const int64_t stride = room > 0 ? StrideWithRoom(columns, room) : columns;
    ASSIGN_OR_RETURN(Tensor folded,
                     device.Allocate(DType::kBF16, {rows + room, stride}));
    if (room > 0) device.SetZero(folded.view().data, folded.bytes());
    const int64_t most = std::max<int64_t>(1, kPieceElements / columns);
    read_.resize(std::max<size_t>(read_.size(), most * columns));
    rounded_.resize(read_.size());
    auto* out = static_cast<uint16_t*>(folded.view().data);
    for (const Part& part : parts) {
      for (int64_t row = 0; row < part.rows; row += most) {
        const int64_t n = std::min(most, part.rows - row);
        TensorSlice slice = part.slice;
        slice.row_begin += row;
        slice.row_end = slice.row_begin + n;
        RETURN_IF_ERROR(source_.ReadF32(ctx_, part.name, slice, read_.data()));
        ctx_.pool->ParallelRanges(n * columns, 64,
                                  [&](int64_t begin, int64_t end, int) {
                                    for (int64_t i = begin; i < end; ++i) {
                                      rounded_[i] = Bf16FromFloat(read_[i]);
                                    }
                                  });
        device.UploadRows(rounded_.data(), columns * sizeof(uint16_t), n, out,
                          stride * sizeof(uint16_t));
        out += n * stride;
      }
    }
    return LinearWeight(std::move(folded), columns, room);
  }

  absl::StatusOr<LinearWeight> Encoded(const std::vector<Part>& parts) {
    std::vector<EncodedMatrix> matrices;
    for (const Part& part : parts) {
      ASSIGN_OR_RETURN(EncodedMatrix matrix,
                       source_.ReadEncoded(ctx_, part.name));
      matrices.push_back(std::move(matrix));
    }
    return LinearWeight(std::move(matrices));
  }

  const Context& ctx_;
  const WeightSource& source_;
  WeightForm form_;
  WeightPlacement placement_;
  std::vector<float> read_;  // of a matrix on its way to the device
  std::vector<uint16_t> rounded_;
};

// Rows of the heads in `heads`.
Part HeadRows(std::string name, IndexRange heads, int64_t head_dim) {
  return {
      std::move(name),
      {.row_begin = heads.begin * head_dim, .row_end = heads.end * head_dim},
      heads.size() * head_dim};
}
Part Rows(std::string name, IndexRange rows) {
  return {std::move(name),
          {.row_begin = rows.begin, .row_end = rows.end},
          rows.size()};
}
// All rows, some columns.
Part Columns(std::string name, IndexRange columns, int64_t rows) {
  return {std::move(name),
          {.column_begin = columns.begin, .column_end = columns.end},
          rows};
}

absl::StatusOr<LayerWeights> LoadLayer(Loader& loader, const LlamaWeights& w,
                                       int64_t index) {
  const std::string prefix = absl::StrCat("model.layers.", index, ".");
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  const int64_t c = w.config.hidden_size, d = w.config.head_dim;
  const IndexRange head_columns = {w.heads.begin * d, w.heads.end * d};
  LayerWeights layer;
  ASSIGN_OR_RETURN(layer.attention_norm,
                   loader.Vector(prefix + "input_layernorm.weight", c));
  ASSIGN_OR_RETURN(
      layer.qkv,
      loader.Matrix(
          {HeadRows(attention + "q_proj.weight", w.heads, d),
           HeadRows(attention + "k_proj.weight", w.kv_heads, d),
           HeadRows(attention + "v_proj.weight", w.kv_heads, d)},
          c, {ProjectionName::kQ, ProjectionName::kK, ProjectionName::kV}));
  ASSIGN_OR_RETURN(
      layer.o,
      loader.Matrix({Columns(attention + "o_proj.weight", head_columns, c)},
                    head_columns.size(), {ProjectionName::kO}));
  ASSIGN_OR_RETURN(
      layer.mlp_norm,
      loader.Vector(prefix + "post_attention_layernorm.weight", c));
  ASSIGN_OR_RETURN(
      layer.gate_up,
      loader.Matrix({Rows(mlp + "gate_proj.weight", w.columns),
                     Rows(mlp + "up_proj.weight", w.columns)},
                    c, {ProjectionName::kGate, ProjectionName::kUp}));
  ASSIGN_OR_RETURN(
      layer.down,
      loader.Matrix({Columns(mlp + "down_proj.weight", w.columns, c)},
                    w.columns.size(), {ProjectionName::kDown}));
  return layer;
}

// Of the matrices in bf16, which is nearly all.
uint64_t DeviceBytes(const LlamaWeights& w, const LlamaParts& parts) {
  const ModelConfig& config = w.config;
  const int64_t attention =
      2 * (w.heads.size() + w.kv_heads.size()) * config.head_dim;
  const int64_t layer = config.hidden_size * (attention + 3 * w.columns.size());
  const bool tied = config.tie_word_embeddings;
  const int64_t tables = (parts.embedding || (parts.head && tied) ? 1 : 0) +
                         (parts.head && !tied ? 1 : 0);
  const int64_t elements = w.layer_range.size() * layer +
                           tables * w.vocabulary.size() * config.hidden_size;
  return static_cast<uint64_t>(elements) * sizeof(uint16_t);
}

// Before any is read: that takes minutes where it fails at the end.
absl::Status CheckRoom(const LlamaWeights& w, const LlamaParts& parts,
                       const WeightSource& source, const Device& device) {
  const uint64_t needed = DeviceBytes(w, parts), free = device.free_bytes();
  if (free == 0 || needed <= free) return absl::OkStatus();
  const auto gib = [](uint64_t bytes) {
    return absl::StrFormat("%.1f GiB", std::ldexp(bytes, -30));
  };
  return absl::ResourceExhaustedError(absl::StrCat(
      source.path(), ": out of GPU memory: the weights of this rank take ",
      gib(needed), " in bf16, but ", gib(free), " of ",
      gib(device.total_bytes()), " are free on ", device.name(),
      "; tensor ranks or a layer chain share them out (parallel)"));
}

}  // namespace

absl::StatusOr<LlamaWeights> LlamaWeights::Load(
    const Context& ctx, const WeightSource& source, Shard shard,
    WeightForm form, const LlamaParts& parts,
    const WeightPlacement& placement) {
  LlamaWeights w;
  w.config = source.config();
  w.shard = shard;
  const ModelConfig& config = w.config;
  CARACAL_CHECK(form == WeightForm::kDense || shard.size == 1)
      << "blocks are not cut into shards";
  CARACAL_CHECK(form == WeightForm::kDense || placement.device == nullptr)
      << "blocks stay in host memory";
  const absl::StatusOr<HeadSplit> split =
      SplitHeads(config.heads, config.kv_heads, shard);
  if (!split.ok()) return Annotate(split.status(), source.path());
  w.split = *split;
  w.heads = w.split.heads;
  w.kv_heads = w.split.kv_heads;
  w.layer_range = parts.layers.value_or(IndexRange{0, config.layers});
  w.columns = shard.Of(config.intermediate_size);
  w.vocabulary = shard.Of(config.vocab_size);

  if (placement.device != nullptr) {
    RETURN_IF_ERROR(CheckRoom(w, parts, source, *placement.device));
  }
  Loader loader(ctx, source, form, placement);
  const int64_t c = config.hidden_size;
  const bool tied = config.tie_word_embeddings;
  if (parts.embedding || (parts.head && tied)) {
    ASSIGN_OR_RETURN(
        w.embedding,
        loader.Matrix({Rows("model.embed_tokens.weight", w.vocabulary)}, c));
  }
  if (parts.head) {
    ASSIGN_OR_RETURN(w.final_norm, loader.Vector("model.norm.weight", c));
    w.lm_head = w.embedding;
    if (!tied) {
      ASSIGN_OR_RETURN(
          w.lm_head, loader.Matrix({Rows("lm_head.weight", w.vocabulary)}, c));
    }
  }
  for (int64_t i = w.layer_range.begin; i < w.layer_range.end; ++i) {
    ASSIGN_OR_RETURN(LayerWeights layer, LoadLayer(loader, w, i));
    w.layers.push_back(std::move(layer));
  }
  std::vector<float> inv_freq = config.inv_freq();
  const int64_t half = config.head_dim / 2;
  Tensor cos = Tensor::Empty(DType::kF32, {config.max_positions, half});
  Tensor sin = Tensor::Empty(DType::kF32, {config.max_positions, half});
  kernels::RopeTable(TensorView(inv_freq.data(), {half}), cos, sin);
  ASSIGN_OR_RETURN(w.rope_cos, loader.Place(std::move(cos)));
  ASSIGN_OR_RETURN(w.rope_sin, loader.Place(std::move(sin)));
  if (placement.device != nullptr) RETURN_IF_ERROR(placement.device->Wait());
  return w;
}

AdapterShape LlamaWeights::adapter_shape() const {
  const int64_t d = config.head_dim;
  AdapterShape shape;
  shape.layers = layer_range.size();
  shape.heads = heads.size();
  shape.head_dim = d;
  shape.first_layer = layer_range.begin;
  shape.first_head = heads.begin;
  shape.model_heads = config.heads;
  shape.replicas = shard.size > 1;
  shape.first_replica = shard.rank == 0;
  const AdapterSide stream = {.size = config.hidden_size,
                              .whole = config.hidden_size,
                              .begin = 0,
                              .shared = shape.replicas,
                              .owned = shape.first_replica};
  const AdapterSide queries = {heads.size() * d, config.heads * d,
                               heads.begin * d};
  const AdapterSide keys = {kv_heads.size() * d, config.kv_heads * d,
                            kv_heads.begin * d, split.kv_shared,
                            split.kv_owner};
  const AdapterSide mlp = {columns.size(), config.intermediate_size,
                           columns.begin};
  shape.projections = {{{stream, queries},
                        {stream, keys},
                        {stream, keys},
                        {queries, stream},
                        {stream, mlp},
                        {stream, mlp},
                        {mlp, stream}}};
  return shape;
}

}  // namespace caracal
