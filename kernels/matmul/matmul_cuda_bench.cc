// Rates of matrix products on the GPU, on random numbers, at the shapes of a
// training step over 16,384 tokens: matmul_cuda_bench [M N K]...
// y = x W^T (forward), dx = dy W, dW = dy^T x (fp32, accumulated).
//
// matmul_cuda_bench --sustained SECONDS [M N K]... has all algorithms that
// cuBLASLt names for a product run for so long, in two rounds: power and clock
// are those of a training step then. With --lines instead, rows of operands
// start at multiples of 128 bytes.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/common/cuda_bench.h"
#include "kernels/matmul/matmul_cuda.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::MeasureSustained;
using bench::PrintFlop;
using bench::RandomOnDevice;
using bench::Sustained;
using testing::DeviceArray;

// N outputs, K inputs of M tokens.
void Benchmark(MatMulCudaPlans& plans, Workspace workspace, int64_t m,
               int64_t n, int64_t k) {
  std::printf("M %ld N %ld K %ld\n", static_cast<long>(m), static_cast<long>(n),
              static_cast<long>(k));
  const auto x = RandomOnDevice<uint16_t>(m * k, 1, 1);
  const auto dy = RandomOnDevice<uint16_t>(m * n, 1, 2);
  const auto weight = RandomOnDevice<uint16_t>(n * k, 0.02, 3);
  const DeviceArray<uint16_t> out(std::max(m * n, m * k));
  const auto view = [](const DeviceArray<uint16_t>& memory, int64_t rows,
                       int64_t columns) {
    return TensorView(memory.data(), DType::kBF16, {rows, columns});
  };
  const TensorView xs = view(x, m, k), dys = view(dy, m, n);
  const TensorView weights = view(weight, n, k);
  const double flop = 2.0 * m * n * k;
  PrintFlop("y = x W^T", Measure([&](int) {
              MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes, 1, xs,
                         weights, 0, view(out, m, n), workspace);
            }),
            flop);
  PrintFlop("y += x W^T", Measure([&](int i) {
              MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes,
                         i == 0 ? 1 : -1, xs, weights, 1, view(out, m, n),
                         workspace);
            }),
            flop);
  PrintFlop("dx = dy W", Measure([&](int) {
              MatMulCuda({}, plans, Transpose::kNo, Transpose::kNo, 1, dys,
                         weights, 0, view(out, m, k), workspace);
            }),
            flop);
  if (n * k > (int64_t{1} << 28)) return;
  const DeviceArray<float> dweight{std::vector<float>(n * k)};
  PrintFlop("dW += dy^T x, fp32", Measure([&](int) {
              MatMulCuda({}, plans, Transpose::kYes, Transpose::kNo, 1, dys, xs,
                         1, TensorView(dweight.data(), {n, k}), workspace);
            }),
            flop);
}

// Rows of x, dy and the weight lie `step` elements apart, or a multiple of it.
void BenchmarkChoices(Workspace workspace, double seconds, int64_t step,
                      int64_t m, int64_t n, int64_t k) {
  const auto pad_of = [&](int64_t size) {
    return (size + step - 1) / step * step - size;
  };
  const int64_t pad = pad_of(k), dy_pad = pad_of(n);
  constexpr int kMostChoices = 8, kRounds = 2;
  const auto x = RandomOnDevice<uint16_t>(m * (k + pad), 1, 1);
  const auto dy = RandomOnDevice<uint16_t>(m * (n + dy_pad), 1, 3);
  const auto weight = RandomOnDevice<uint16_t>(n * (k + pad), 0.02, 2);
  const DeviceArray<uint16_t> out(m * std::max(n, k));
  const auto view = [](const DeviceArray<uint16_t>& memory, int64_t rows,
                       int64_t columns, int64_t pad = 0) {
    TensorView v(memory.data(), DType::kBF16, {rows, columns});
    v.stride[0] += pad;
    return v;
  };
  const TensorView weights = view(weight, n, k, pad);
  enum Product { kForward, kAdding, kGradient };
  const char* names[] = {"y = x W^T", "y += x W^T", "dx = dy W"};
  for (const Product product : {kForward, kAdding, kGradient}) {
    std::printf("M %ld N %ld K %ld, %s\n", static_cast<long>(m),
                static_cast<long>(n), static_cast<long>(k), names[product]);
    std::vector<std::unique_ptr<MatMulCudaPlans>> choices;
    std::vector<Sustained> totals;
    const auto multiply = [&](MatMulCudaPlans& plans, int i) {
      if (product == kGradient) {
        MatMulCuda({}, plans, Transpose::kNo, Transpose::kNo, 1,
                   view(dy, m, n, dy_pad), weights, 0, view(out, m, k),
                   workspace);
        return;
      }
      MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes, i == 0 ? 1 : -1,
                 view(x, m, k, pad), weights, product == kAdding ? 1 : 0,
                 view(out, m, n), workspace);
    };
    CARACAL_CUDA_CHECK(
        cudaMemset(out.data(), 0, out.size() * sizeof(uint16_t)));
    for (int choice = 0; choice < kMostChoices; ++choice) {
      auto plans = std::make_unique<MatMulCudaPlans>(0, choice);
      multiply(*plans, choice % 2);
      if (plans->newest_choice() < choice) break;
      choices.push_back(std::move(plans));
      totals.emplace_back();
    }
    for (int round = 0; round < kRounds; ++round) {
      for (size_t i = 0; i < choices.size(); ++i) {
        totals[i].Add(MeasureSustained(seconds / kRounds, [&](int which) {
          multiply(*choices[i], which);
        }));
      }
    }
    for (size_t i = 0; i < choices.size(); ++i) {
      char name[32];
      std::snprintf(name, sizeof(name), "choice %d", static_cast<int>(i));
      PrintSustained(name, totals[i].Over(kRounds), 2.0 * m * n * k);
    }
  }
}

int Main(int argc, char** argv) {
  bench::PrintDevice();
  const DeviceArray<char> memory(kMatMulCudaWorkspaceBytes);
  const Workspace workspace{memory.data(), memory.size()};
  const bool lines = argc > 2 && std::strcmp(argv[1], "--lines") == 0;
  if (lines || (argc > 2 && std::strcmp(argv[1], "--sustained") == 0)) {
    const double seconds = std::atof(argv[2]);
    const int64_t step = lines ? 64 : 1;
    for (int i = 3; i + 3 <= argc; i += 3) {
      BenchmarkChoices(workspace, seconds, step, std::atoll(argv[i]),
                       std::atoll(argv[i + 1]), std::atoll(argv[i + 2]));
    }
    if (argc > 3) return 0;
    // 8B shape, 8 rows of 1,024.
    BenchmarkChoices(workspace, seconds, step, 8192, 6144, 4096);
    BenchmarkChoices(workspace, seconds, step, 8192, 4096, 4096);
    BenchmarkChoices(workspace, seconds, step, 8192, 28672, 4096);
    BenchmarkChoices(workspace, seconds, step, 8192, 4096, 14336);
    return 0;
  }
  MatMulCudaPlans plans;
  for (int i = 1; i + 3 <= argc; i += 3) {
    Benchmark(plans, workspace, std::atoll(argv[i]), std::atoll(argv[i + 1]),
              std::atoll(argv[i + 2]));
  }
  if (argc > 1) return 0;
  const int64_t shapes[][3] = {
      {16384, 6144, 4096},  {16384, 4096, 4096},  {16384, 28672, 4096},
      {16384, 4096, 14336}, {2048, 128256, 4096}, {16384, 960, 576},
      {16384, 576, 576},    {16384, 3072, 576},   {16384, 576, 1536},
      {4096, 49152, 576},
  };
  for (const auto& s : shapes) {
    Benchmark(plans, workspace, s[0], s[1], s[2]);
  }
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
