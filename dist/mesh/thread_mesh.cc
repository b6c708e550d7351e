#include "dist/mesh/thread_mesh.h"

#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/collective/thread_collective.h"

namespace caracal {

void RunAsMesh(const MeshShape& shape,
               const std::function<void(MeshGroups&)>& work) {
  // The meeting points, by what they are for and their first rank.
  std::map<std::pair<int, int>, std::unique_ptr<ThreadGroup>> meetings;
  const auto join = [&](int purpose, MeshAxis axis, int rank, int at) {
    const std::vector<int> ranks = GroupOf(shape, axis, rank);
    std::unique_ptr<ThreadGroup>& meeting = meetings[{purpose, ranks[0]}];
    if (meeting == nullptr) {
      meeting = std::make_unique<ThreadGroup>(static_cast<int>(ranks.size()));
    }
    return meeting->Join(at);
  };
  std::vector<MeshGroups> all(shape.ranks());
  for (int rank = 0; rank < shape.ranks(); ++rank) {
    MeshGroups& groups = all[rank];
    groups.shape = shape;
    groups.place = PlaceOf(shape, rank);
    const MeshPlace& place = groups.place;
    groups.data = join(0, MeshAxis::kData, rank, place.data);
    groups.data_behind = join(1, MeshAxis::kData, rank, place.data);
    groups.tensor = join(2, MeshAxis::kTensor, rank, place.tensor);
    groups.layer = join(3, MeshAxis::kLayer, rank, place.layer);
    groups.tensor_behind = join(4, MeshAxis::kTensor, rank, place.tensor);
  }
  ThreadGroup world(shape.ranks()), world_behind(shape.ranks());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < shape.ranks(); ++rank) {
    all[rank].world = world.Join(rank);
    all[rank].world_behind = world_behind.Join(rank);
    threads.emplace_back([&, rank] { work(all[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace caracal
