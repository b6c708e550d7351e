// How the ranks of a job are laid out: data x layer x tensor parallel, and who
// works with whom. Plain arithmetic; every rank and `caracal explain` do the
// same.
#ifndef CARACAL_DIST_MESH_MESH_H_
#define CARACAL_DIST_MESH_MESH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace caracal {

// Each at least 1.
struct MeshShape {
  int data = 1;    // replicas, each with rows of its own
  int tensor = 1;  // shards of every layer
  int layer = 1;   // parts of consecutive layers
  bool operator==(const MeshShape&) const = default;
  int ranks() const { return data * tensor * layer; }
};

struct MeshPlace {
  int data = 0;
  int tensor = 0;
  int layer = 0;
  bool operator==(const MeshPlace&) const = default;
};

// Along which the ranks of a group differ.
enum class MeshAxis { kData, kTensor, kLayer };
const char* NameOf(MeshAxis axis);  // "data", ...
int SizeOf(MeshAxis axis, const MeshShape& shape);

// Ranks that talk most sit side by side: rank = (data * layers + layer) *
// tensors + tensor, so that a tensor group has consecutive ranks, and with
// ranks numbered host by host stays within one.
MeshPlace PlaceOf(const MeshShape& shape, int rank);
int RankAt(const MeshShape& shape, const MeshPlace& place);

// The ranks of the group of `rank` along an axis, by their place on it: the
// tensor group shares rows and layers, the data group shares what is trained,
// the layer chain hands on activations from its first rank to its last.
std::vector<int> GroupOf(const MeshShape& shape, MeshAxis axis, int rank);

// kInvalidArgument unless the shape is for just so many started ranks.
absl::Status CheckRanks(const MeshShape& shape, int started);

// "data 2 x layer 1 x tensor 2".
std::string FormatMesh(const MeshShape& shape);

// One line a rank, such as
//   "rank 3: data 1 of 2, tensor 1 of 2; data group 1 3, tensor group 2 3"
// without the axes of size 1; after `limit` lines one that says how many more
// ranks there are. Large groups are cut in the middle.
std::string FormatRanks(const MeshShape& shape, int limit = 16);

// "0 1 2", of many ranks "0 8 16 ... 1016".
std::string FormatRankList(const std::vector<int>& ranks);

}  // namespace caracal

#endif  // CARACAL_DIST_MESH_MESH_H_
