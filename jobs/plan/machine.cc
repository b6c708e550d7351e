#include "jobs/plan/machine.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

constexpr uint64_t kGibibyte = uint64_t{1} << 30;
// A copy of 1 GiB on the H200: 4.23 of nominal 4.8 TB/s. The H100's nominal
// rate is 3.35.
constexpr double kCopyShare = 4.23 / 4.8;
// NCCL between two H200s over NVLink, 256 MiB: a reduce-scatter sends 231 GB/s,
// an all-gather 256 (of nominally 450).
constexpr double kNodeRate = 240e9;
// InfiniBand: 400 Gb/s a GPU.
constexpr double kNetworkLink = 50e9, kNetworkShare = 0.85;

}  // namespace

double Machine::RingSeconds(uint64_t bytes, int64_t operations, int ranks,
                            int per_node) const {
  if (ranks == 1) return 0;
  double rate = node_bytes_per_s, round = (ranks - 1) * node_hop_seconds;
  if (per_node < ranks) {
    rate = std::min(rate, per_node * network_bytes_per_s);
    const int nodes = (ranks + per_node - 1) / per_node;
    round = (ranks - nodes) * node_hop_seconds + nodes * network_hop_seconds;
  }
  return static_cast<double>(bytes) / rate +
         static_cast<double>(operations) * (start_seconds + round);
}

double Machine::SumSeconds(int ranks) const {
  if (ranks == 1) return 0;
  const double hop =
      ranks <= gpus_per_node ? node_hop_seconds : network_hop_seconds;
  return start_seconds + hop * std::ceil(std::log2(ranks));
}

absl::StatusOr<Machine> MachineOf(const std::string& name) {
  Machine machine;
  machine.name = name;
  // Alone the products of the 8B shape reach 690 to 800 TFLOP/s, a layer of
  // attention transfer 709 to 770; an H100 measured the same as the H200.
  machine.matrix_flops = 750e12;
  machine.node_bytes_per_s = kNodeRate;
  machine.network_bytes_per_s = kNetworkLink * kNetworkShare;
  if (name == "h100") {
    machine.memory_bytes = 78 * kGibibyte;
    machine.memory_bytes_per_s = 3.35e12 * kCopyShare;
    return machine;
  }
  if (name == "h200") {
    machine.memory_bytes = 139 * kGibibyte;
    machine.memory_bytes_per_s = 4.8e12 * kCopyShare;
    return machine;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--gpu: there is no '", name, "'; use h100 or h200"));
}

}  // namespace caracal
