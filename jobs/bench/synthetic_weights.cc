#include "jobs/bench/synthetic_weights.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "core/base/status.h"

namespace caracal {
namespace {

struct Shape {
  const char* name;
  int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab;
  int64_t positions;
  double theta;
  bool tied;
};
constexpr Shape kShapes[] = {
    {"135m", 576, 1536, 30, 9, 3, 64, 49152, 8192, 1e5, true},
    {"8b", 4096, 14336, 32, 32, 8, 128, 128256, 131072, 5e5, false},
};

class SyntheticWeights final : public WeightSource {
 public:
  explicit SyntheticWeights(const Shape& shape) {
    config_.architecture = "llama";
    config_.hidden_size = shape.hidden;
    config_.intermediate_size = shape.intermediate;
    config_.layers = shape.layers;
    config_.heads = shape.heads;
    config_.kv_heads = shape.kv_heads;
    config_.head_dim = shape.head_dim;
    config_.vocab_size = shape.vocab;
    config_.max_positions = shape.positions;
    config_.rope.theta = shape.theta;
    config_.rms_norm_eps = 1e-5;
    config_.tie_word_embeddings = shape.tied;
    path_ = std::string("synthetic:") + shape.name;
    const int64_t c = shape.hidden, q = shape.heads * shape.head_dim;
    const int64_t kv = shape.kv_heads * shape.head_dim, m = shape.intermediate;
    Add("model.embed_tokens.weight", {shape.vocab, c});
    for (int64_t i = 0; i < shape.layers; ++i) {
      const std::string p = absl::StrCat("model.layers.", i, ".");
      Add(p + "input_layernorm.weight", {c});
      Add(p + "self_attn.q_proj.weight", {q, c});
      Add(p + "self_attn.k_proj.weight", {kv, c});
      Add(p + "self_attn.v_proj.weight", {kv, c});
      Add(p + "self_attn.o_proj.weight", {c, q});
      Add(p + "post_attention_layernorm.weight", {c});
      Add(p + "mlp.gate_proj.weight", {m, c});
      Add(p + "mlp.up_proj.weight", {m, c});
      Add(p + "mlp.down_proj.weight", {c, m});
    }
    Add("model.norm.weight", {c});
    if (!shape.tied) Add("lm_head.weight", {shape.vocab, c});
  }

  const ModelConfig& config() const override { return config_; }
  const std::string& path() const override { return path_; }
  absl::Span<const TensorInfo> tensors() const override { return tensors_; }
  const TensorInfo* Find(absl::string_view name) const override {
    for (const TensorInfo& t : tensors_) {
      if (t.name == name) return &t;
    }
    return nullptr;
  }

  absl::Status ReadF32(const Context& ctx, absl::string_view name,
                       const TensorSlice& slice, float* out) const override {
    const TensorInfo* t = Find(name);
    if (t == nullptr) {
      return absl::NotFoundError(absl::StrCat(path_, ": no tensor ", name));
    }
    const int64_t row_end = slice.row_end < 0 ? t->rows() : slice.row_end;
    const int64_t end = slice.column_end < 0 ? t->columns() : slice.column_end;
    const int64_t width = end - slice.column_begin;
    const bool norm = absl::EndsWith(name, "norm.weight");
    ctx.pool->ParallelFor(row_end - slice.row_begin, [&](int64_t r, int) {
      Fill(r + slice.row_begin, width, norm, out + r * width);
    });
    return absl::OkStatus();
  }

  absl::StatusOr<EncodedMatrix> ReadEncoded(
      const Context& ctx, absl::string_view name) const override {
    const TensorInfo* t = Find(name);
    if (t == nullptr) {
      return absl::NotFoundError(absl::StrCat(path_, ": no tensor ", name));
    }
    EncodedMatrix matrix;
    matrix.owned.resize(t->rows() * t->columns() * sizeof(float));
    RETURN_IF_ERROR(ReadF32(ctx, name, TensorSlice(),
                            reinterpret_cast<float*>(matrix.owned.data())));
    matrix.view.data = matrix.owned.data();
    matrix.view.rows = t->rows();
    matrix.view.columns = t->columns();
    matrix.view.row_bytes = t->columns() * static_cast<int64_t>(sizeof(float));
    return matrix;
  }

  std::string Fingerprint(const Context&) const override { return path_; }

 private:
  void Add(std::string name, std::vector<int64_t> shape) {
    tensors_.push_back({std::move(name), std::move(shape), Encoding::kF32});
  }

  // A row's values from a multiplicative generator seeded by its index.
  static void Fill(int64_t row, int64_t width, bool norm, float* out) {
    uint64_t state = (static_cast<uint64_t>(row) + 1) * 0x9e3779b97f4a7c15u;
    const float bound = 0.02f * std::sqrt(3.0f);
    for (int64_t i = 0; i < width; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const float uniform = static_cast<float>(state >> 40) * 0x1p-24f;
      out[i] = norm ? 1.0f : bound * (2 * uniform - 1);
    }
  }

  ModelConfig config_;
  std::string path_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WeightSource>> SyntheticModel(
    const std::string& shape) {
  for (const Shape& s : kShapes) {
    if (shape == s.name) {
      return std::unique_ptr<WeightSource>(new SyntheticWeights(s));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--shape: there is no '", shape, "'; use 135m or 8b"));
}

}  // namespace caracal
