#include "core/model/feature_map_name.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace caracal {
namespace {

using kernels::FeatureMapKind;

struct Row {
  const char* name;
  FeatureMapKind kind;
  bool has_half;
  FeatureMapKind half;
  bool bias;
};

constexpr Row kRows[] = {
    {"hedgehog", FeatureMapKind::kHedgehog, true, FeatureMapKind::kHedgehogHalf,
     false},
    {"exp", FeatureMapKind::kExp, true, FeatureMapKind::kExpHalf, false},
    {"t2r", FeatureMapKind::kT2r, false, {}, true},
    {"elu1", FeatureMapKind::kElu1, false, {}, false},
    {"hedgehog_fla", FeatureMapKind::kHedgehogFla, false, {}, true},
    {"identity", FeatureMapKind::kIdentity, false, {}, false},
};

const Row* Find(absl::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> FeatureMapNames() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

absl::StatusOr<FeatureMapKind> FeatureMapFromName(absl::string_view name,
                                                  bool half_space) {
  const Row* row = Find(name);
  if (row == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("no feature map '", name, "'; there are ",
                     absl::StrJoin(FeatureMapNames(), ", ")));
  }
  if (!half_space) return row->kind;
  if (!row->has_half) {
    return absl::InvalidArgumentError(absl::StrCat(
        "half_space goes with hedgehog and exp, whose outputs are two halves; ",
        name, " has none that could stand alone"));
  }
  return row->half;
}

absl::string_view NameOf(FeatureMapKind kind) {
  for (const Row& row : kRows) {
    if (kind == row.kind || (row.has_half && kind == row.half)) return row.name;
  }
  return "";
}

bool IsHalfSpace(FeatureMapKind kind) {
  for (const Row& row : kRows) {
    if (row.has_half && kind == row.half) return true;
  }
  return false;
}

bool HasBiasByDefinition(absl::string_view name) {
  const Row* row = Find(name);
  return row != nullptr && row->bias;
}

}  // namespace caracal
