// The shapes that the test of hybrid attention's CUDA versions sweeps.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TEST_SHAPES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TEST_SHAPES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {

// Rows of the shortest sequence that Hopper's version cuts into segments.
inline constexpr int64_t kShortestCut = 257;

inline std::vector<Shape> CudaShapes() {
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
  const auto lolcats = WindowKind::kLolcatsTerraced;
  add({1}, 1, 1, 64, 64, 64, 0, sliding);
  add({63}, 2, 1, 64, 64, 64, 4, sliding);
  add({64}, 1, 1, 128, 64, 64, 0, sliding);
  add({65}, 2, 2, 128, 64, 64, 0, sliding);
  add({200}, 2, 1, 64, 64, 64, 0, sliding);
  add({333}, 2, 1, 128, 64, 64, 0, sliding);
  add({333}, 2, 2, 128, 64, 64, 4, sliding);
  add({300}, 3, 1, 64, 64, 16, 4, sliding);
  add({300}, 3, 1, 96, 64, 16, 20, sliding);
  add({257}, 2, 1, 96, 32, 100, 4, sliding);
  add({400}, 2, 1, 128, 64, 128, 0, sliding);
  add({700}, 1, 1, 64, 64, 512, 4, sliding);
  add({150}, 1, 1, 64, 64, 512, 4, sliding);
  add({300}, 2, 1, 64, 32, 1, 0, sliding);
  add({300}, 2, 1, 64, 64, 64, 0, terraced);
  add({300}, 2, 1, 128, 64, 128, 4, terraced);
  add({300}, 2, 1, 64, 64, 48, 20, terraced);
  add({300}, 2, 1, 128, 64, 64, 4, sliding).config.affine = true;
  add({300}, 2, 1, 64, 48, 64, 70, sliding).config.affine = true;
  // For the plain version alone.
  add({150}, 2, 2, 64, 64, 16, 4, sliding).bias = true;
  add({140}, 2, 1, 256, 64, 64, 4, sliding);
  add({140}, 1, 1, 128, 256, 32, 0, sliding);
  add({140}, 1, 1, 64, 128, 16, 4, sliding);
  add({97}, 2, 1, 24, 18, 33, 3, sliding).bias = true;
  // Blocks counted from the end; sequences no longer than the window.
  add({128, 129, 127, 16, 17, 15, 1, 0, 33}, 2, 1, 64, 64, 16, 0, lolcats);
  add({140}, 2, 2, 64, 32, 5, 3, lolcats).config.affine = true;
  add({70, 200}, 2, 1, 64, 64, 100, 4, lolcats).bias = true;
  add({60, 16, 80, 9}, 3, 1, 64, 64, 16, 3, lolcats).terms = TermSets();
  // Packed sequences.
  add({64, 1, 0, 137, 2, 200}, 4, 2, 64, 64, 64, 4, sliding);
  add({130, 90, 33, 129}, 4, 1, 128, 64, 64, 0, sliding);
  add({0, 90, 133}, 2, 1, 96, 64, 16, 4, terraced);
  // Every kind of terms, mixed over samples and heads.
  add({275, 100, 150}, 4, 2, 64, 64, 64, 4, sliding).terms = TermSets();
  add({275, 100, 150}, 4, 1, 128, 64, 32, 20, sliding).terms = TermSets();
  Shape& terraces = add({160, 133, 80}, 3, 1, 64, 64, 48, 3, terraced);
  terraces.terms = TermSets();
  terraces.config.affine = true;
  for (uint8_t terms : TermSets()) {
    add({200}, 2, 1, 128, 64, 64, 4, sliding).terms = {terms};
    add({200}, 2, 1, 64, 64, 40, 0, sliding).terms = {terms};
  }
  // Every feature map, also one shared by all heads. The identity's weights
  // cancel, so that no bound on their rounding bounds y's.
  for (int kind = 0; kind < kFeatureMapKinds; ++kind) {
    if (static_cast<FeatureMapKind>(kind) == FeatureMapKind::kIdentity)
      continue;
    Shape& s = add({140, 90}, 4, 2, 64, 48, 32, 4, sliding);
    s.config.feature_map = static_cast<FeatureMapKind>(kind);
    s.bias = kind % 2 == 1;
    s.shared_map = kind % 2 == 0;
  }
  // Scores so large that a shift by anything but the exact maximum would
  // overflow or lose the linear part's scale.
  add({200}, 2, 1, 128, 64, 64, 4, sliding).score_size = 80;
  add({200}, 2, 1, 64, 64, 32, 1, terraced).score_size = 200;
  // Windows of up to a tile with all the sinks that have room beside it, and
  // one sink more.
  add({270}, 2, 1, 128, 64, 2, 16, sliding);
  add({333}, 1, 1, 64, 64, 65, 16, sliding);
  add({300}, 2, 2, 128, 64, 64, 17, sliding);
  add({290, 129}, 2, 1, 64, 64, 32, 5, terraced);
  add({260}, 2, 1, 64, 64, 24, 5, terraced);
  add({257, 128, 300}, 3, 1, 128, 64, 64, 16, terraced);
  // Long enough for several segments.
  add({2300, 140}, 2, 1, 128, 64, 64, 16, sliding);
  add({2100}, 1, 1, 64, 64, 64, 4, sliding);
  add({2500, 300}, 1, 1, 128, 64, 64, 0, sliding);
  // Windows of a tile with fewer features than one.
  add({200}, 2, 1, 64, 32, 64, 0, sliding);
  add({150}, 2, 2, 128, 48, 65, 4, sliding);
  // A few segments, whose sums at the borders whoever begins there adds up; the
  // shortest that is cut; many segments, too.
  add({kShortestCut}, 1, 1, 64, 64, 64, 0, sliding);
  add({700, 333}, 4, 2, 128, 64, 64, 4, sliding);
  add({1101}, 2, 1, 128, 64, 64, 0, sliding).config.affine = true;
  add({601, 1, 290}, 2, 1, 64, 64, 64, 3, terraced);
  add({900, 70}, 2, 1, 96, 32, 100, 20, sliding);
  add({1500, 257}, 1, 1, 128, 64, 16, 4, sliding);
  add({577, 290}, 4, 1, 64, 64, 64, 4, sliding).terms = TermSets();
  // Heads with linear attention alone beside hybrid ones, as dropout makes
  // them: rows of all kinds of tiles, windows that are a tile and are not,
  // several segments.
  const std::vector<uint8_t> dropped = {kHybridTerms, kLaOnlyTerms};
  add({1, 63, 64, 65, 129}, 3, 1, 64, 64, 64, 4, sliding).terms = dropped;
  add({140}, 3, 1, 128, 64, 64, 4, sliding).terms = dropped;
  add({128, 191, 300}, 3, 3, 128, 64, 64, 16, sliding).terms = dropped;
  add({290, 129}, 3, 1, 96, 64, 2, 1, sliding).terms = dropped;
  add({270}, 2, 1, 128, 64, 128, 4, sliding).terms = dropped;
  Shape& blocks = add({257, 128, 300}, 3, 1, 64, 64, 32, 5, terraced);
  blocks.terms = dropped;
  blocks.config.affine = true;
  add({1500, 140}, 3, 1, 128, 64, 64, 16, sliding).terms = dropped;
  // The same beside heads whose windows take the backward to other kernels.
  add({300, 70}, 3, 1, 64, 64, 32, 4, sliding).terms = dropped;
  add({70, 20}, 3, 1, 128, 64, 32, 4, sliding).terms = dropped;
  // Either component dropped, short enough for compute-sanitizer: rows of two
  // tiles and of one; and several segments.
  const std::vector<uint8_t> either = {kHybridTerms, kLaOnlyTerms,
                                       kSwaOnlyTerms};
  add({67, 30}, 4, 2, 64, 64, 64, 4, sliding).terms = either;
  add({66, 31}, 4, 2, 128, 64, 65, 3, sliding).terms = either;
  add({kShortestCut}, 3, 1, 64, 64, 64, 4, sliding).terms = either;
  add({kShortestCut}, 3, 1, 128, 64, 65, 4, sliding).terms = either;
  add({1537, 70}, 3, 1, 64, 64, 65, 0, sliding).terms = {
      kLaOnlyTerms, kLaPastTerms, kFarSinkTerms | kLaPastTerms, kLaOnlyTerms};
  // More query heads a group than are added up at once.
  add({140}, 5, 1, 64, 64, 64, 4, sliding);
  add({97}, 6, 1, 128, 64, 64, 0, sliding);
  add({140, 70}, 16, 2, 128, 64, 64, 4, sliding);
  // Large scores where heads are dropped, and in several segments.
  Shape& large = add({700, 90}, 3, 1, 128, 64, 64, 4, sliding);
  large.terms = either;
  large.score_size = 80;
  return shapes;
}

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TEST_SHAPES_H_
