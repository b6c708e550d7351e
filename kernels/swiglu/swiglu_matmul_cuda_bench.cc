// A gated MLP's first half on the GPU, in one pass and by cuBLASLt and SwiGLU's
// own kernel, each run for some time so that power and clock are those of a
// training step: swiglu_matmul_cuda_bench [SECONDS [rows F K]...]
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "kernels/common/cuda_bench.h"
#include "kernels/matmul/matmul_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "kernels/swiglu/swiglu_matmul_cuda.h"

namespace caracal::kernels {
namespace {

using bench::MeasureSustained;
using bench::RandomOnDevice;
using bench::Sustained;
using testing::DeviceArray;

struct Candidate {
  std::string name;
  std::function<void(int)> run;
  Sustained total = {};
};

void Benchmark(double seconds, int64_t rows, int64_t F, int64_t K) {
  constexpr int kRounds = 2;
  std::printf("%ld rows, F %ld, K %ld\n", static_cast<long>(rows),
              static_cast<long>(F), static_cast<long>(K));
  const auto x = RandomOnDevice<uint16_t>(rows * K, 1, 1);
  const auto weight = RandomOnDevice<uint16_t>(2 * F * K, 0.02, 2);
  const DeviceArray<uint16_t> gate_up(rows * 2 * F), out(rows * F);
  const DeviceArray<char> memory(kMatMulCudaWorkspaceBytes);
  const Workspace workspace{memory.data(), memory.size()};
  MatMulCudaPlans plans;
  const TensorView xs(x.data(), DType::kBF16, {rows, K});
  const TensorView weights(weight.data(), DType::kBF16, {2 * F, K});
  const TensorView both(gate_up.data(), DType::kBF16, {rows, 2 * F});
  const TensorView outs(out.data(), DType::kBF16, {rows, F});
  TensorView gate = both, up = both;
  gate.shape[1] = up.shape[1] = F;
  up.data = gate_up.data() + F;

  const auto multiply = [&](int) {
    MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes, 1, xs, weights, 0,
               both, workspace);
  };
  std::vector<Candidate> candidates = {
      {"cuBLASLt's product alone", multiply},
      {"cuBLASLt, then SwiGLU",
       [&](int i) {
         multiply(i);
         SwigluForwardCuda({}, gate, up, outs);
       }},
  };
  for (const bool keep : {false, true}) {
    for (const int cluster : {1, 2}) {
      for (const int row_group : {4, 8, 16, 32}) {
        const SwigluMatMulLayout layout = {cluster, row_group};
        candidates.push_back(
            {"one pass" + std::string(keep ? ", gate and up kept" : "") +
                 ", cluster " + std::to_string(cluster) + ", group " +
                 std::to_string(row_group),
             [&, keep, layout](int) {
               SwigluMatMulCuda({}, xs, weights, keep ? both : TensorView(),
                                outs, workspace, layout);
             }});
      }
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    for (Candidate& c : candidates) {
      c.total.Add(MeasureSustained(seconds / kRounds, c.run));
    }
  }
  for (const Candidate& c : candidates) {
    PrintSustained(c.name.c_str(), c.total.Over(kRounds), 4.0 * rows * F * K);
  }
}

int Main(int argc, char** argv) {
  bench::PrintDevice();
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  for (int i = 2; i + 3 <= argc; i += 3) {
    Benchmark(seconds, std::atoll(argv[i]), std::atoll(argv[i + 1]),
              std::atoll(argv[i + 2]));
  }
  if (argc > 2) return 0;
  Benchmark(seconds, 8192, 14336, 4096);
  Benchmark(seconds, 32768, 1536, 576);
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
