#include "dist/mesh/mesh.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// As one reads them, the outermost first.
constexpr MeshAxis kAxes[] = {MeshAxis::kData, MeshAxis::kLayer,
                              MeshAxis::kTensor};

int& Coordinate(MeshAxis axis, MeshPlace* place) {
  switch (axis) {
    case MeshAxis::kData:
      return place->data;
    case MeshAxis::kTensor:
      return place->tensor;
    case MeshAxis::kLayer:
      break;
  }
  return place->layer;
}

const char* GroupName(MeshAxis axis) {
  switch (axis) {
    case MeshAxis::kData:
      return "data group ";
    case MeshAxis::kTensor:
      return "tensor group ";
    case MeshAxis::kLayer:
      break;
  }
  return "layer chain ";
}

void CheckShape(const MeshShape& shape) {
  CARACAL_CHECK(shape.data >= 1 && shape.tensor >= 1 && shape.layer >= 1)
      << FormatMesh(shape);
}

}  // namespace

const char* NameOf(MeshAxis axis) {
  switch (axis) {
    case MeshAxis::kData:
      return "data";
    case MeshAxis::kTensor:
      return "tensor";
    case MeshAxis::kLayer:
      break;
  }
  return "layer";
}

int SizeOf(MeshAxis axis, const MeshShape& shape) {
  switch (axis) {
    case MeshAxis::kData:
      return shape.data;
    case MeshAxis::kTensor:
      return shape.tensor;
    case MeshAxis::kLayer:
      break;
  }
  return shape.layer;
}

MeshPlace PlaceOf(const MeshShape& shape, int rank) {
  CheckShape(shape);
  CARACAL_CHECK(rank >= 0 && rank < shape.ranks())
      << "rank " << rank << " of " << FormatMesh(shape);
  MeshPlace place;
  place.tensor = rank % shape.tensor;
  place.layer = rank / shape.tensor % shape.layer;
  place.data = rank / shape.tensor / shape.layer;
  return place;
}

int RankAt(const MeshShape& shape, const MeshPlace& place) {
  return (place.data * shape.layer + place.layer) * shape.tensor + place.tensor;
}

std::vector<int> GroupOf(const MeshShape& shape, MeshAxis axis, int rank) {
  MeshPlace place = PlaceOf(shape, rank);
  std::vector<int> ranks(SizeOf(axis, shape));
  for (int i = 0; i < static_cast<int>(ranks.size()); ++i) {
    Coordinate(axis, &place) = i;
    ranks[i] = RankAt(shape, place);
  }
  return ranks;
}

absl::Status CheckRanks(const MeshShape& shape, int started) {
  CheckShape(shape);
  if (shape.ranks() == started) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the layout ", FormatMesh(shape), " is for ", shape.ranks(),
                   shape.ranks() == 1 ? " rank" : " ranks", ", but ", started,
                   started == 1 ? " was" : " were", " started"));
}

std::string FormatMesh(const MeshShape& shape) {
  std::string text;
  for (const MeshAxis axis : kAxes) {
    absl::StrAppend(&text, text.empty() ? "" : " x ", NameOf(axis), " ",
                    SizeOf(axis, shape));
  }
  return text;
}

std::string FormatRankList(const std::vector<int>& ranks) {
  constexpr size_t kAll = 8, kFirst = 3;
  if (ranks.size() <= kAll) return absl::StrJoin(ranks, " ");
  return absl::StrCat(absl::StrJoin(ranks.begin(), ranks.begin() + kFirst, " "),
                      " ... ", ranks.back());
}

std::string FormatRanks(const MeshShape& shape, int limit) {
  std::string text;
  const int lines = std::min(shape.ranks(), limit);
  for (int rank = 0; rank < lines; ++rank) {
    MeshPlace place = PlaceOf(shape, rank);
    std::string places, groups;
    for (const MeshAxis axis : kAxes) {
      const int size = SizeOf(axis, shape);
      if (size == 1) continue;
      absl::StrAppend(&places, places.empty() ? "" : ", ", NameOf(axis), " ",
                      Coordinate(axis, &place), " of ", size);
      absl::StrAppend(&groups, groups.empty() ? "" : ", ", GroupName(axis),
                      FormatRankList(GroupOf(shape, axis, rank)));
    }
    absl::StrAppend(&text, "rank ", rank, ": ",
                    places.empty() ? "alone" : places,
                    groups.empty() ? "" : "; ", groups, "\n");
  }
  if (lines < shape.ranks()) {
    absl::StrAppend(&text, "and ", shape.ranks() - lines, " more\n");
  }
  return text;
}

}  // namespace caracal
