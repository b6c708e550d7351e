// Times of full causal attention on the GPU, forward, 16,384 rows:
//     causal_attention_cuda_bench [H Hkv D rows]...
// Sequences of 1,024, 4,096, ... rows. FLOP counts the causal half of both
// products (a multiply-add is 2).
#include <cmath>
#include <cstdlib>

#include "kernels/causal_attention/causal_attention_cuda.h"
#include "kernels/common/cuda_bench.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::PrintFlop;
using bench::RandomOnDevice;
using testing::DeviceArray;

// Prints how far the fast version is from the plain one; false if beyond bf16.
bool Compare(const std::vector<uint16_t>& got,
             const std::vector<uint16_t>& want) {
  double off = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double x = FloatFromBf16(got[i]), y = FloatFromBf16(want[i]);
    off += (x - y) * (x - y);
    norm += y * y;
  }
  std::printf("  distance from the plain version %.1e\n",
              std::sqrt(off / norm));
  return std::sqrt(off / norm) < 0.02;
}

bool Benchmark(int64_t H, int64_t Hkv, int64_t D, int64_t rows) {
  bool good = true;
  for (int64_t length = 1024; length <= rows; length *= 4) {
    std::printf("H %ld Hkv %ld D %ld B %ld T %ld\n", static_cast<long>(H),
                static_cast<long>(Hkv), static_cast<long>(D),
                static_cast<long>(rows / length), static_cast<long>(length));
    DeviceArray<uint16_t> q[2], k[2], v[2], y(rows * H * D);
    std::vector<int64_t> offsets;
    for (int64_t at = 0; at <= rows; at += length) offsets.push_back(at);
    CausalAttentionInputs in[2];
    for (int i = 0; i < 2; ++i) {
      q[i] = RandomOnDevice<uint16_t>(rows * H * D, 1.7, 3 * i);
      k[i] = RandomOnDevice<uint16_t>(rows * Hkv * D, 1.7, 3 * i + 1);
      v[i] = RandomOnDevice<uint16_t>(rows * Hkv * D, 1.7, 3 * i + 2);
      in[i].q = TensorView(q[i].data(), DType::kBF16, {rows, H, D});
      in[i].k = TensorView(k[i].data(), DType::kBF16, {rows, Hkv, D});
      in[i].v = TensorView(v[i].data(), DType::kBF16, {rows, Hkv, D});
      in[i].offsets = offsets.data();
      in[i].sequences = static_cast<int64_t>(offsets.size()) - 1;
    }
    const TensorView out(y.data(), DType::kBF16, {rows, H, D});
    const DeviceArray<char> memory(
        CausalAttentionForwardCudaWorkspaceBytes(in[0]));
    const auto run = [&](int i, CudaVersion version) {
      CausalAttentionForwardCuda({}, in[i], out, {},
                                 {memory.data(), memory.size()}, version);
    };
    if (length == 1024) {
      run(0, CudaVersion::kPlain);
      const std::vector<uint16_t> want = y.Host();
      y.Poison();
      run(0, CudaVersion::kBest);
      good = Compare(y.Host(), want) && good;
    }
    PrintFlop("forward", Measure([&](int i) { run(i, CudaVersion::kBest); }),
              2.0 * H * D * rows * (length + 1));
  }
  return good;
}

int Main(int argc, char** argv) {
  bench::PrintDevice();
  bool good = true;
  for (int i = 1; i + 4 <= argc; i += 4) {
    good = Benchmark(std::atoll(argv[i]), std::atoll(argv[i + 1]),
                     std::atoll(argv[i + 2]), std::atoll(argv[i + 3])) &&
           good;
  }
  if (argc == 1) {
    good = Benchmark(32, 32, 128, 16384) && good;
    good = Benchmark(32, 8, 128, 16384) && good;
    good = Benchmark(9, 3, 64, 16384) && good;
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
