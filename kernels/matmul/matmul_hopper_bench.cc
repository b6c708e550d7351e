// Products with work on their results, in one pass and by cuBLASLt and the
// work's own kernel, on the GPU. Each runs for some time, so that power and
// clock are those of a training step:
//     matmul_hopper_bench SECONDS [swiglu|gradient|rope|few]...
// SwiGLU of gate and up and its gradient, RoPE of queries and keys; 8B shape, 8
// rows of 1,024, and 135M shape, 32.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/common/cuda_bench.h"
#include "kernels/matmul/matmul_cuda.h"
#include "kernels/matmul/matmul_rope_cuda.h"
#include "kernels/matmul/matmul_swiglu_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"

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

void Compare(double seconds, std::vector<Candidate> candidates, double flop) {
  constexpr int kRounds = 2;
  for (int round = 0; round < kRounds; ++round) {
    for (Candidate& c : candidates) {
      c.total.Add(MeasureSustained(seconds / kRounds, c.run));
    }
  }
  for (const Candidate& c : candidates) {
    PrintSustained(c.name.c_str(), c.total.Over(kRounds), flop);
  }
}

TensorView Matrix(const DeviceArray<uint16_t>& memory, int64_t rows,
                  int64_t columns) {
  return TensorView(memory.data(), DType::kBF16, {rows, columns});
}

struct Library {
  MatMulCudaPlans plans;
  DeviceArray<char> memory{kMatMulCudaWorkspaceBytes};
  Workspace workspace{memory.data(), memory.size()};
  DeviceArray<char> count{std::vector<char>(kMatMulTilesBytes)};
  Workspace tiles{count.data(), count.size()};

  // y = x W^T.
  void Multiply(TensorView x, TensorView weight, TensorView y) {
    MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes, 1, x, weight, 0, y,
               workspace);
  }
};

void BenchmarkSwiglu(double seconds, int64_t rows, int64_t F, int64_t K) {
  std::printf("SwiGLU: %ld rows, F %ld, K %ld\n", static_cast<long>(rows),
              static_cast<long>(F), static_cast<long>(K));
  const auto x_memory = RandomOnDevice<uint16_t>(rows * K, 1, 1);
  const auto weight_memory = RandomOnDevice<uint16_t>(2 * F * K, 0.02, 2);
  const DeviceArray<uint16_t> both_memory(rows * 2 * F), out_memory(rows * F);
  Library library;
  const TensorView x = Matrix(x_memory, rows, K);
  const TensorView weight = Matrix(weight_memory, 2 * F, K);
  const TensorView both = Matrix(both_memory, rows, 2 * F);
  const TensorView out = Matrix(out_memory, rows, F);
  TensorView gate = both, up = both;
  gate.shape[1] = up.shape[1] = F;
  up.data = both_memory.data() + F;
  const auto fused = [&](TensorView kept) {
    return [&, kept](int) {
      MatMulSwigluCuda({}, x, weight, kept, out, library.tiles);
    };
  };
  Compare(seconds,
          {{"cuBLASLt alone", [&](int) { library.Multiply(x, weight, both); }},
           {"cuBLASLt, then SwiGLU",
            [&](int) {
              library.Multiply(x, weight, both);
              SwigluForwardCuda({}, gate, up, out);
            }},
           {"cuBLASLt, then SwiGLU and slopes",
            [&](int) {
              library.Multiply(x, weight, both);
              SwigluForwardCuda({}, gate, up, out, both);
            }},
           {"one pass", fused({})},
           {"one pass, slopes kept", fused(both)}},
          4.0 * rows * F * K);
}

// Gradients take the slopes' place, call after call, and so vanish after some
// hundred: of either candidate.
void BenchmarkGradient(double seconds, int64_t rows, int64_t F, int64_t K) {
  std::printf("SwiGLU's gradient: %ld rows, F %ld, K %ld\n",
              static_cast<long>(rows), static_cast<long>(F),
              static_cast<long>(K));
  const auto dy_memory = RandomOnDevice<uint16_t>(rows * K, 1, 1);
  const auto weight_memory = RandomOnDevice<uint16_t>(K * F, 0.02, 2);
  const auto both_memory = RandomOnDevice<uint16_t>(rows * 2 * F, 1, 3);
  const DeviceArray<uint16_t> dout_memory(rows * F);
  Library library;
  const TensorView dy = Matrix(dy_memory, rows, K);
  const TensorView weight = Matrix(weight_memory, K, F);
  const TensorView both = Matrix(both_memory, rows, 2 * F);
  const TensorView dout = Matrix(dout_memory, rows, F);
  const auto product = [&] {
    MatMulCuda({}, library.plans, Transpose::kNo, Transpose::kNo, 1, dy, weight,
               0, dout, library.workspace);
  };
  Compare(seconds,
          {{"cuBLASLt alone", [&](int) { product(); }},
           {"cuBLASLt, then the gradient",
            [&](int) {
              product();
              SwigluBackwardCuda({}, dout, both);
            }},
           {"one pass",
            [&](int) {
              MatMulSwigluBackwardCuda({}, dy, weight, both, library.tiles);
            }}},
          2.0 * rows * F * K);
}

void BenchmarkRope(double seconds, int64_t sequences, int64_t H, int64_t Hkv,
                   int64_t D, int64_t K) {
  constexpr int64_t kT = 1024;
  const int64_t rows = sequences * kT, N = (H + 2 * Hkv) * D;
  std::printf("RoPE: %ld rows, %ld + 2 x %ld heads of %ld, K %ld\n",
              static_cast<long>(rows), static_cast<long>(H),
              static_cast<long>(Hkv), static_cast<long>(D),
              static_cast<long>(K));
  const auto x_memory = RandomOnDevice<uint16_t>(rows * K, 1, 1);
  const auto weight_memory = RandomOnDevice<uint16_t>(N * K, 0.02, 2);
  const auto cos_memory = RandomOnDevice<float>(kT * D / 2, 1, 3);
  const auto sin_memory = RandomOnDevice<float>(kT * D / 2, 1, 4);
  std::vector<int32_t> at(rows);
  for (int64_t r = 0; r < rows; ++r) at[r] = static_cast<int32_t>(r % kT);
  const DeviceArray<int32_t> positions(at);
  const DeviceArray<uint16_t> out(rows * N);
  Library library;
  const TensorView x = Matrix(x_memory, rows, K);
  const TensorView weight = Matrix(weight_memory, N, K);
  const TensorView y = Matrix(out, rows, N);
  const TensorView cos(cos_memory.data(), {kT, D / 2});
  const TensorView sin(sin_memory.data(), {kT, D / 2});
  TensorView qk(out.data(), DType::kBF16, {rows, H + Hkv, D});
  qk.stride[0] = N;
  Compare(seconds,
          {{"cuBLASLt alone", [&](int) { library.Multiply(x, weight, y); }},
           {"cuBLASLt, then RoPE",
            [&](int) {
              library.Multiply(x, weight, y);
              RopeCuda({}, qk, testing::VectorView(positions), cos, sin, false);
            }},
           {"one pass",
            [&](int) {
              MatMulRopeCuda({}, x, weight, H + Hkv,
                             testing::VectorView(positions), cos, sin, y,
                             library.tiles);
            }},
           {"one pass, none rotated",
            [&](int) {
              MatMulRopeCuda({}, x, weight, 0, testing::VectorView(positions),
                             cos, sin, y, library.tiles);
            }}},
          2.0 * rows * N * K);
}

int Main(int argc, char** argv) {
  bench::PrintDevice();
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  const auto wanted = [&](const char* name) {
    if (argc <= 2) return true;
    for (int i = 2; i < argc; ++i) {
      if (std::strcmp(argv[i], name) == 0) return true;
    }
    return false;
  };
  if (wanted("swiglu")) {
    BenchmarkSwiglu(seconds, 8192, 14336, 4096);
    BenchmarkSwiglu(seconds, 32768, 1536, 576);
  }
  if (wanted("gradient")) {
    BenchmarkGradient(seconds, 8192, 14336, 4096);
    BenchmarkGradient(seconds, 32768, 1536, 576);
  }
  if (wanted("rope")) {
    BenchmarkRope(seconds, 8, 32, 8, 128, 4096);
    BenchmarkRope(seconds, 32, 9, 3, 64, 576);
  }
  if (wanted("few")) BenchmarkRope(seconds, 1, 32, 8, 128, 4096);
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
