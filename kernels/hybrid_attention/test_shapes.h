// The shapes, windows and term sets that hybrid attention's tests sweep.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_TEST_SHAPES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_TEST_SHAPES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/hybrid_attention/test_problem.h"

namespace caracal::kernels::testing {

// Term sets worth a test each: the component modes, and odd mixtures.
inline std::vector<uint8_t> TermSets() {
  return {kHybridTerms,
          kSwaOnlyTerms,
          kLaOnlyTerms,
          kLaPastTerms,
          kSinksOnlyTerms,
          kNoTerms,
          kNearTerms | kLinearPastTerms,
          kFarSinkTerms | kLinearPastTerms,
          kNearSinkTerms | kLinearNearTerms,
          kHybridTerms | kLinearNearTerms};
}

// The sweep: every pair that has bitten someone, small enough to be quick.
inline std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  const auto add = [&](std::vector<int64_t> lengths, int64_t heads,
                       int64_t kv_heads, int64_t D, int64_t F, int64_t window,
                       int64_t sinks, WindowKind kind) -> Shape& {
    Shape s;
    s.lengths = std::move(lengths);
    s.heads = heads;
    s.kv_heads = kv_heads;
    s.D = D;
    s.F = F;
    s.config.window = window;
    s.config.sinks = sinks;
    s.config.window_kind = kind;
    s.seed = shapes.size() + 1;
    shapes.push_back(s);
    return shapes.back();
  };
  const auto sliding = WindowKind::kSliding, terraced = WindowKind::kTerraced;
  add({1}, 2, 1, 16, 16, 5, 0, sliding);
  add({1}, 1, 1, 80, 32, 1, 4, terraced);
  add({7}, 3, 1, 16, 32, 16, 1, sliding);
  add({33}, 2, 2, 16, 16, 1, 0, sliding);
  add({70}, 3, 1, 64, 64, 16, 4, sliding);
  add({131}, 4, 1, 16, 16, 64, 0, sliding);
  add({131}, 2, 1, 64, 32, 64, 4, sliding).config.affine = true;
  add({150}, 2, 2, 16, 16, 5, 9, sliding).bias = true;
  add({150}, 1, 1, 96, 16, 100, 1, sliding);
  add({97}, 2, 1, 80, 34, 5, 40, sliding);
  add({97}, 2, 1, 20, 18, 33, 3, sliding).bias = true;
  add({140}, 2, 1, 16, 16, 16, 0, terraced);
  add({140}, 3, 3, 16, 32, 5, 9, terraced).config.affine = true;
  add({140}, 1, 1, 16, 16, 64, 4, terraced);
  // Blocks from the end: whole ones, one token over and one short, a first
  // block of each size, and sequences of at most one block.
  const auto lolcats = WindowKind::kLolcatsTerraced;
  add({128, 129, 127, 16, 17, 15, 1, 0, 33}, 2, 1, 16, 16, 16, 0, lolcats);
  add({140}, 2, 2, 16, 32, 5, 3, lolcats).config.affine = true;
  add({70}, 1, 1, 64, 64, 64, 0, lolcats);
  add({70}, 2, 1, 16, 16, 100, 4, lolcats).bias = true;
  Shape& back = add({60, 16, 80, 9}, 3, 1, 16, 16, 16, 3, lolcats);
  back.terms = TermSets();
  add({40}, 1, 1, 128, 256, 16, 4, sliding);
  add({64, 1, 0, 37, 2}, 6, 2, 16, 16, 16, 4, sliding);
  add({0, 90, 33}, 4, 1, 24, 16, 1, 4, terraced);
  // Every kind of terms, mixed over samples and heads.
  Shape& mixed = add({75, 100}, 4, 2, 16, 16, 16, 9, sliding);
  mixed.terms = TermSets();
  Shape& terraces = add({60, 33, 80}, 3, 1, 16, 16, 5, 3, terraced);
  terraces.terms = TermSets();
  terraces.config.affine = true;
  for (uint8_t terms : TermSets()) {
    add({90}, 2, 1, 16, 16, 16, 4, sliding).terms = {terms};
  }
  // Every feature map, also one shared by all heads. The identity's weights
  // cancel, so that no bound on their rounding bounds y's.
  for (int kind = 0; kind < kFeatureMapKinds; ++kind) {
    if (static_cast<FeatureMapKind>(kind) == FeatureMapKind::kIdentity)
      continue;
    Shape& s = add({75, 40}, 4, 2, 16, 24, 16, 4, sliding);
    s.config.feature_map = static_cast<FeatureMapKind>(kind);
    s.bias = true;
    s.shared_map = kind % 2 == 0;
  }
  // Scores so large that a shift by anything but the exact maximum would
  // overflow or lose the linear part's scale.
  add({100}, 2, 1, 64, 16, 16, 4, sliding).score_size = 80;
  add({100}, 2, 1, 64, 16, 16, 1, terraced).score_size = 200;
  return shapes;
}

inline std::string Describe(const Shape& s) {
  std::string text = "lengths";
  for (int64_t n : s.lengths) text += " " + std::to_string(n);
  const auto put = [&](const char* name, int64_t value) {
    text += std::string(" ") + name + " " + std::to_string(value);
  };
  put("H", s.heads);
  put("Hkv", s.kv_heads);
  put("D", s.D);
  put("F", s.F);
  put("W", s.config.window);
  put("S", s.config.sinks);
  put("kind", static_cast<int>(s.config.window_kind));
  put("affine", s.config.affine);
  put("map", static_cast<int>(s.config.feature_map));
  put("terms", s.terms.size() == 1 ? s.terms[0] : -1);
  return text;
}

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_TEST_SHAPES_H_
