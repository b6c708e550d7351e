// Times of collective operations between the ranks of one machine, next to a
// plain copy of as many bytes by every rank at once:
//   tools/mpi/run_ranks.sh 2 bazel-bin/dist/mpi/mpi_collective_bench [KIB]
// KIB: of a block (MpiOptions::block_bytes).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/status.h"
#include "dist/mpi/mpi_runtime.h"

namespace caracal {
namespace {

constexpr int kRepeats = 31;

// Milliseconds of `work` on this rank, begun together: the quickest, the median
// and the slowest.
std::vector<double> Times(Collective& group,
                          const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < kRepeats + 3; ++i) {
    CARACAL_CHECK_OK(group.Barrier());
    const absl::Time begin = absl::Now();
    work();
    const double ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
    if (i >= 3) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2], times.back()};
}

void Run(const MpiOptions& options) {
  absl::StatusOr<std::unique_ptr<MpiRuntime>> runtime = MpiRuntime::Start();
  CARACAL_CHECK_OK(runtime.status());
  auto group = (*runtime)->World("world", options);
  CARACAL_CHECK_OK(group.status());
  if ((*group)->rank() == 0) {
    std::printf(
        "%d ranks; ms: quickest, median, slowest; GB/s: data / median\n",
        (*group)->size());
  }
  for (const int64_t bytes : {int64_t{4}, int64_t{64} << 10, int64_t{1} << 20,
                              int64_t{16} << 20, int64_t{64} << 20}) {
    std::vector<float> data(bytes / 4, 1e-30f), copy(bytes / 4);
    const TensorView view(data.data(), {bytes / 4});
    const TensorView bf16(data.data(), DType::kBF16, {bytes / 2});
    const auto report = [&](const char* name, const std::vector<double>& ms) {
      if ((*group)->rank() != 0) return;
      std::printf("%-16s %9lld bytes %9.4f %9.4f %9.4f ms %8.2f GB/s\n", name,
                  static_cast<long long>(bytes), ms[0], ms[1], ms[2],
                  bytes * 1e-6 / ms[1]);
    };
    report("copy", Times(**group, [&] {
             std::memcpy(copy.data(), data.data(), bytes);
           }));
    report("all-reduce fp32", Times(**group, [&] {
             CARACAL_CHECK_OK((*group)->AllReduceSum(view));
           }));
    report("all-reduce bf16", Times(**group, [&] {
             CARACAL_CHECK_OK((*group)->AllReduceSum(bf16));
           }));
    report("broadcast", Times(**group, [&] {
             CARACAL_CHECK_OK((*group)->Broadcast(view, 0));
           }));
  }
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  caracal::MpiOptions options;
  if (argc > 1) options.block_bytes = std::atoll(argv[1]) << 10;
  caracal::Run(options);
}
