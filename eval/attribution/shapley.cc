// Each order of three players counts 1/6; the orders in which c comes after
// exactly the players of s number |s|! (2 - |s|)!.
#include "eval/attribution/shapley.h"

#include <cstddef>

namespace caracal {
namespace {

constexpr struct {
  const char* name;
  int player;
} kPlayers[] = {
    {"swa", kSwaPlayer}, {"la", kLaPlayer}, {"sinks", kSinksPlayer}};

// Orders, of 6, in which just the players of `before` come before a given one.
double Orders(int before) {
  int size = 0;
  for (const auto& p : kPlayers) size += (before & p.player) != 0;
  return size == 1 ? 1 : 2;
}

std::vector<double> WeightsOf(const ModeResult& mode) {
  return mode.row_tokens.empty() ? std::vector<double>(mode.per_row.size(), 1.0)
                                 : mode.row_tokens;
}

}  // namespace

std::vector<ComponentValue> ShapleyValues(
    const std::array<const ModeResult*, kSubsets>& subset, bool has_sinks,
    const BootstrapOptions& options) {
  for (const ModeResult* mode : subset) {
    if (mode == nullptr || mode->per_row.size() != subset[0]->per_row.size() ||
        WeightsOf(*mode) != WeightsOf(*subset[0])) {
      return {};
    }
  }
  std::vector<ComponentValue> values;
  for (const auto& [name, player] : kPlayers) {
    if (player == kSinksPlayer && !has_sinks) continue;
    std::vector<double> rows(subset[0]->per_row.size());
    for (int before = 0; before < kSubsets; ++before) {
      if ((before & player) != 0) continue;
      const double share = Orders(before) / 6;
      const auto& without = subset[before]->per_row;
      const auto& with = subset[before | player]->per_row;
      for (size_t r = 0; r < rows.size(); ++r) {
        rows[r] += share * (without[r] - with[r]);
      }
    }
    values.push_back(
        {name, BootstrapWeightedMean(rows, WeightsOf(*subset[0]), options)});
  }
  return values;
}

}  // namespace caracal
