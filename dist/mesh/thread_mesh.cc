#include "dist/mesh/thread_mesh.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/collective/thread_collective.h"

namespace caracal {

namespace {

// Where the ranks of all groups meet. Thread-safe.
class Meetings {
 public:
  // The groups of a rank, in a mesh that is its `generation`th.
  AxisGroups Axes(const MeshShape& shape, int rank, int generation) {
    AxisGroups groups;
    groups.shape = shape;
    groups.place = PlaceOf(shape, rank);
    int purpose = 0;
    const auto join = [&](MeshAxis axis, int at) {
      const std::vector<int> ranks = GroupOf(shape, axis, rank);
      return Join({generation, purpose++, ranks[0]},
                  static_cast<int>(ranks.size()), at);
    };
    const MeshPlace& place = groups.place;
    groups.data = join(MeshAxis::kData, place.data);
    groups.data_behind = join(MeshAxis::kData, place.data);
    groups.tensor = join(MeshAxis::kTensor, place.tensor);
    groups.tensor_behind = join(MeshAxis::kTensor, place.tensor);
    groups.layer = join(MeshAxis::kLayer, place.layer);
    groups.layer_behind = join(MeshAxis::kLayer, place.layer);
    return groups;
  }

 private:
  using Key = std::array<int, 3>;  // generation, purpose, first rank

  std::unique_ptr<Collective> Join(const Key& key, int size, int at) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<ThreadGroup>& meeting = groups_[key];
    if (meeting == nullptr) meeting = std::make_unique<ThreadGroup>(size);
    return meeting->Join(at);
  }

  std::mutex mutex_;
  std::map<Key, std::unique_ptr<ThreadGroup>> groups_;
};

}  // namespace

void RunAsMesh(const MeshShape& shape,
               const std::function<void(MeshGroups&)>& work) {
  Meetings meetings;
  ThreadGroup world(shape.ranks()), world_behind(shape.ranks());
  std::vector<MeshGroups> all(shape.ranks());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < shape.ranks(); ++rank) {
    static_cast<AxisGroups&>(all[rank]) = meetings.Axes(shape, rank, 0);
    all[rank].world = world.Join(rank);
    all[rank].world_behind = world_behind.Join(rank);
    all[rank].lay_out = [&meetings, rank,
                         generation = 0](const MeshShape& another) mutable {
      return meetings.Axes(another, rank, ++generation);
    };
  }
  for (int rank = 0; rank < shape.ranks(); ++rank) {
    threads.emplace_back([&, rank] { work(all[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace caracal
