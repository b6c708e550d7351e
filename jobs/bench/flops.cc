#include "jobs/bench/flops.h"

#include <algorithm>

#include "kernels/feature_map/feature_map.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

struct Sizes {
  double c, h, g, d, m, v, l, f, p, r;
  double qkv() const { return c * (h + 2 * g) * d; }
  double o() const { return h * d * c; }
  double mlp() const { return 3 * c * m; }
  double layer() const { return qkv() + o() + mlp(); }
};

Sizes SizesOf(const ModelConfig& model, const StudentConfig& student) {
  Sizes s;
  s.c = static_cast<double>(model.hidden_size);
  s.h = static_cast<double>(model.heads);
  s.g = static_cast<double>(model.kv_heads);
  s.d = static_cast<double>(model.head_dim);
  s.m = static_cast<double>(model.intermediate_size);
  s.v = static_cast<double>(model.vocab_size);
  s.l = static_cast<double>(model.layers);
  s.f = static_cast<double>(student.features);
  s.p = static_cast<double>(kernels::FeatureMapOutputs(
      student.attention.feature_map, student.features));
  s.r = static_cast<double>(student.lora.rank);
  return s;
}

// Mean size of A_n over the rows 0 .. T - 1.
double MeanSoftmaxKeys(const kernels::HybridAttentionConfig& a, int64_t t) {
  double sum = 0;
  for (int64_t n = 0; n < t; ++n) {
    const int64_t start = kernels::WindowStart(a.window_kind, a.window, n, t);
    sum += static_cast<double>(n - start + 1 + std::min(a.sinks, start));
  }
  return sum / static_cast<double>(t);
}

// Parameters of the adapters of one layer.
double LoraParameters(const ModelConfig& model, const StudentConfig& student) {
  const Sizes s = SizesOf(model, student);
  const double in[kProjections] = {s.c, s.c, s.c, s.h * s.d, s.c, s.c, s.m};
  const double out[kProjections] = {s.h * s.d, s.g * s.d, s.g * s.d, s.c,
                                    s.m,       s.m,       s.c};
  double total = 0;
  for (int i = 0; i < kProjections; ++i) {
    if (student.lora.projections[i]) total += s.r * (in[i] + out[i]);
  }
  return total;
}

}  // namespace

FlopCount TransferFlops(const ModelConfig& model, const StudentConfig& student,
                        int64_t seq_len, bool weights) {
  const Sizes s = SizesOf(model, student);
  const double w = MeanSoftmaxKeys(student.attention, seq_len);
  const double t = static_cast<double>(seq_len);
  FlopCount out;
  // The last layer's output goes nowhere.
  out.projections = 2 * (s.l * s.layer() - s.o() - s.mlp());
  out.feature_maps = s.l * s.h * (4 + 4) * s.d * s.f;
  if (weights) {
    out.attention = s.l * s.h * (t + 1) * (2 * s.d + s.d + 3 * s.p);
    out.formula =
        "projections   2 (L (C (H + 2G) D + H D C + 3 C M) - H D C - 3 C M)\n"
        "attention     L H (T + 1) (2 D teacher + D its scores + P the "
        "student's weights + 2 P backward)\n"
        "feature maps  L H (4 D F forward + 4 D F weight gradients)";
    return out;
  }
  out.attention =
      s.l * s.h * (2 * s.d * (t + 1) + 4 * s.d * w + (4 + 6) * s.p * s.d);
  out.formula =
      "projections   2 (L (C (H + 2G) D + H D C + 3 C M) - H D C - 3 C M)\n"
      "attention     L H (2 D (T + 1) teacher + 4 D w window + 4 P D linear "
      "+ 6 P D linear backward)\n"
      "feature maps  L H (4 D F forward + 4 D F weight gradients)";
  return out;
}

FlopCount FinetuneFlops(const ModelConfig& model, const StudentConfig& student,
                        int64_t seq_len) {
  const Sizes s = SizesOf(model, student);
  const double w = MeanSoftmaxKeys(student.attention, seq_len);
  FlopCount out;
  out.projections = 4 * (s.l * s.layer() + s.v * s.c) - 2 * s.qkv();
  out.attention = s.l * s.h * ((4 + 8) * s.d * w + (4 + 8) * s.p * s.d);
  out.feature_maps = s.l * s.h * (4 + 4) * s.d * s.f;
  out.lora = 6 * s.l * LoraParameters(model, student);
  out.formula =
      "projections   4 (L (C (H + 2G) D + H D C + 3 C M) + V C) - 2 C (H + 2G) "
      "D   (no weight gradients; nothing below the first layer)\n"
      "attention     L H (12 D w window + 12 P D linear, forward and "
      "backward)\n"
      "feature maps  L H (4 D F forward + 4 D F input gradients)\n"
      "LoRA          6 per adapter parameter";
  return out;
}

FlopCount DecodeFlops(const ModelConfig& model, const StudentConfig& student,
                      int64_t context) {
  const Sizes s = SizesOf(model, student);
  const auto& a = student.attention;
  const int64_t start =
      kernels::WindowStart(a.window_kind, a.window, context, context + 1);
  const double keys =
      static_cast<double>(context - start + 1 + std::min(a.sinks, start));
  FlopCount out;
  out.projections = 2 * (s.l * s.layer() + s.v * s.c);
  out.attention = s.l * s.h * (4 * s.d * keys + 4 * s.p * s.d);
  out.feature_maps = s.l * s.h * 4 * s.d * s.f;
  out.formula =
      "projections   2 (L (C (H + 2G) D + H D C + 3 C M) + V C)\n"
      "attention     L H (4 D |A_n| window + 4 P D linear)\n"
      "feature maps  L H 4 D F";
  return out;
}

}  // namespace caracal
