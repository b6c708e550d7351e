// Times of RoPE on the GPU, in place on the query and key heads of a fused
// buffer: rope_cuda_bench [rows H Hkv D]...
#include <cstdlib>

#include "kernels/common/cuda_bench.h"
#include "kernels/rope/rope_cuda.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::PrintBytes;
using bench::RandomOnDevice;
using testing::DeviceArray;

constexpr int64_t kPositions = 1024;

void Benchmark(int64_t rows, int64_t H, int64_t Hkv, int64_t D) {
  std::printf("rows %ld H %ld Hkv %ld D %ld\n", static_cast<long>(rows),
              static_cast<long>(H), static_cast<long>(Hkv),
              static_cast<long>(D));
  const int64_t columns = (H + 2 * Hkv) * D;
  DeviceArray<uint16_t> qkv[2];
  for (int i = 0; i < 2; ++i) {
    qkv[i] = RandomOnDevice<uint16_t>(rows * columns, 2, i);
  }
  const auto table = RandomOnDevice<float>(kPositions * D / 2, 0.7, 3);
  const TensorView angles(table.data(), {kPositions, D / 2});
  std::vector<int32_t> position(rows);
  for (int64_t r = 0; r < rows; ++r) position[r] = r % kPositions;
  const DeviceArray<int32_t> positions(position);
  PrintBytes("in place", Measure([&](int i) {
               TensorView x(qkv[i].data(), DType::kBF16, {rows, H + Hkv, D});
               x.stride[0] = columns;
               RopeCuda({}, x, testing::VectorView(positions), angles, angles,
                        false);
             }),
             2.0 * 2 * rows * (H + Hkv) * D);
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) {
  caracal::bench::PrintDevice();
  for (int i = 1; i + 4 <= argc; i += 4) {
    caracal::kernels::Benchmark(std::atoll(argv[i]), std::atoll(argv[i + 1]),
                                std::atoll(argv[i + 2]),
                                std::atoll(argv[i + 3]));
  }
  if (argc > 1) return 0;
  caracal::kernels::Benchmark(16384, 32, 8, 128);
  caracal::kernels::Benchmark(16384, 9, 3, 64);
  return 0;
}
