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
  int multiprocessors = 132;

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
  // A collective of a few bytes: a start, and so much for each doubling of the
  // ranks. Assumed.
  double start_seconds = 15e-6;
  double node_hop_seconds = 3e-6, network_hop_seconds = 8e-6;
  int gpus_per_node = 8;

  // A collective in which each rank of `ranks` sends `bytes`; its group lies
  // within a node or not.
  double Seconds(uint64_t bytes, int64_t operations, int ranks,
                 bool within_node) const;
};

// "h100" or "h200". kInvalidArgument for another.
absl::StatusOr<Machine> MachineOf(const std::string& name);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_MACHINE_H_
