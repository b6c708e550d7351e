// What a plan knows of a kind of GPU and of what links them: rates measured by
// the benchmarks of this repository (docs/benchmarks.md), and vendors' nominal
// ones where nothing was measured. The one place to bring a new measurement to.
#ifndef CARACAL_JOBS_PLAN_MACHINE_H_
#define CARACAL_JOBS_PLAN_MACHINE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace caracal {

// Seconds and bytes. Measured unless said otherwise.
struct Machine {
  std::string name;
  uint64_t memory_bytes = 0;  // free on an idle GPU
  // What a plan may fill: estimates were up to 5% below what was measured (a
  // model of a GiB or two apart, whose workspaces count).
  uint64_t usable_bytes() const { return memory_bytes / 100 * 95; }
  int multiprocessors = 132;
  uint64_t block_bytes = 227 << 10;  // shared memory that a block may have

  // Of large matrix products in bf16 while steps run: below what a product
  // reaches alone, since the clock falls under long ones.
  double matrix_flops = 0;
  // Of a copy, reads and writes together.
  double memory_bytes_per_s = 0;
  double launch_seconds = 5e-6;

  // What a GPU sends, and at once receives, through the links of its node and
  // through its network card: nominal rates, and the share of them that a
  // collective is assumed to reach.
  double node_bytes_per_s = 0;
  double network_bytes_per_s = 0;
  // Of a collective beside its bytes: a start, and the way round the ring of
  // its ranks, from one to the next in a node and from node to node. Assumed.
  double start_seconds = 10e-6;
  double node_hop_seconds = 1e-6, network_hop_seconds = 4e-6;
  int gpus_per_node = 8;

  // `operations` collectives in which each rank of a group sends `bytes` in
  // all: rings, of which as many leave a node as the group has ranks there
  // (`per_node`), each through a network card of its own.
  double RingSeconds(uint64_t bytes, int64_t operations, int ranks,
                     int per_node) const;
  // A sum of a few numbers over all ranks, by a tree.
  double SumSeconds(int ranks) const;
};

// "h100" or "h200". kInvalidArgument for another.
absl::StatusOr<Machine> MachineOf(const std::string& name);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_MACHINE_H_
