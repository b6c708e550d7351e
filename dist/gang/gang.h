// The ranks that train one model together, as each of them sees the others.
#ifndef CARACAL_DIST_GANG_GANG_H_
#define CARACAL_DIST_GANG_GANG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/collective/collective_queue.h"
#include "dist/mesh/mesh_groups.h"

namespace caracal {

// Bytes of data that a rank has sent so far, by what it sent them along
// (core/collective/traffic.h).
struct GangTraffic {
  uint64_t tensor = 0, data = 0, layer = 0;
  uint64_t world = 0;  // but for what the thread that writes checkpoints sends
  bool operator==(const GangTraffic&) const = default;
  uint64_t total() const { return tensor + data + layer + world; }
};
GangTraffic operator-(const GangTraffic& after, const GangTraffic& before);

// Not thread-safe: of the training thread.
class Gang {
 public:
  // One process that has everything.
  Gang();
  // `host`: this rank's, for messages.
  explicit Gang(MeshGroups groups, std::string host = "localhost");

  const MeshShape& shape() const { return groups_.shape; }
  const MeshPlace& place() const { return groups_.place; }
  const std::string& host() const { return host_; }
  int rank() const { return groups_.world->rank(); }
  int size() const { return groups_.world->size(); }
  bool alone() const { return size() == 1; }
  // The one rank that writes what is written once, and talks to people.
  bool leads() const { return rank() == 0; }

  Collective& world() { return *groups_.world; }
  Collective& data() { return *groups_.data; }
  Collective& tensor() { return *groups_.tensor; }

  // Runs on the data group behind this thread's back; its operations may use
  // tensor_behind() as well, and nobody else may.
  CollectiveQueue& behind() { return *behind_; }
  Collective& tensor_behind() { return *groups_.tensor_behind; }

  // The layer chain: from the rank before this one, and to the one after it.
  // Each runs behind this thread's back, on a group that has the chain's ranks
  // by their places and carries every other link of it. Of a chain of one rank
  // there are none (CHECK).
  CollectiveQueue& from_before();
  CollectiveQueue& to_after();

  // Lays the ranks out as another mesh of as many ranks. All ranks call, with
  // nothing queued; groups from before are gone, world() and world_behind()
  // stay. kInvalidArgument when the shape is of another number of ranks.
  absl::Status LayOut(const MeshShape& shape);

  // From now on the groups along the axes are what `wrap` makes of them (those
  // of a device, say), in this mesh and in later ones. All ranks call, with
  // nothing queued. One process alone stays as it is.
  using AxisWrapper = std::function<absl::StatusOr<AxisGroups>(AxisGroups)>;
  absl::Status Wrap(AxisWrapper wrap);
  // How long to wait for a rank that sends nothing.
  absl::Duration stall() const { return groups_.stall; }

  // Sums over all ranks, in rank order: bit for bit the same everywhere.
  absl::Status Sum(absl::Span<double> values);
  // What this rank counts of what a whole tensor group knows: of the loss of a
  // row, say. 1 on one rank of each, 0 on the others.
  double speaks_for_tensor_group() const {
    return groups_.place.tensor == 0 ? 1 : 0;
  }

  // Ends the groups along the axes, before a device goes that they are on: only
  // the world may be used from now on. Called on all ranks, or on one that ends
  // with an error.
  void Close();

  // What ends all ranks when one is lost or hangs, as Lost() says; it need not
  // return. Nothing, unless given.
  void set_lost(std::function<void(const absl::Status&)> lost) {
    lost_ = std::move(lost);
  }
  // `error` ends the training. If it says that a rank or a device does not
  // answer or goes on no more (kUnavailable, kDeadlineExceeded,
  // kResourceExhausted), tells who was given to set_lost(): before anything is
  // given back, which might wait for ever. From any thread.
  void Lost(const absl::Status& error);

  // The first error by rank, on all ranks (core/collective/agree.h).
  absl::Status Agree(const absl::Status& mine);

  // Of this rank, behind the training thread's back included. Only while
  // nothing is queued there: between steps, say.
  GangTraffic traffic() const;

  // All ranks once more, for the thread that writes checkpoints. The gang keeps
  // it.
  Collective& world_behind() { return *groups_.world_behind; }

 private:
  void EndGroups();
  absl::Status Remake(MeshShape shape);
  void StartQueues();

  MeshGroups groups_;
  std::string host_;
  std::unique_ptr<CollectiveQueue> behind_;
  // Links of even places and of odd ones; null without a chain.
  std::unique_ptr<CollectiveQueue> even_links_, odd_links_;
  std::function<void(const absl::Status&)> lost_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_GANG_GANG_H_
