// Times of RMSNorm on the GPU: rms_norm_cuda_bench [rows columns]...
#include <cstdlib>

#include "kernels/common/cuda_bench.h"
#include "kernels/rms_norm/rms_norm_cuda.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::PrintBytes;
using bench::RandomOnDevice;
using testing::DeviceArray;

void Benchmark(int64_t rows, int64_t columns) {
  std::printf("%ld x %ld\n", static_cast<long>(rows),
              static_cast<long>(columns));
  const int64_t size = rows * columns;
  DeviceArray<uint16_t> x[2], other[2], out[2];
  TensorView xs[2], others[2], outs[2];
  for (int i = 0; i < 2; ++i) {
    x[i] = RandomOnDevice<uint16_t>(size, 2, i);
    other[i] = RandomOnDevice<uint16_t>(size, 1e-3, 2 + i);
    out[i] = RandomOnDevice<uint16_t>(size, 1, 4 + i);
    const auto view = [&](const DeviceArray<uint16_t>& memory) {
      return TensorView(memory.data(), DType::kBF16, {rows, columns});
    };
    xs[i] = view(x[i]), others[i] = view(other[i]), outs[i] = view(out[i]);
  }
  const auto w = RandomOnDevice<float>(columns, 1, 9);
  const auto invs = RandomOnDevice<float>(rows, 1, 10);
  const DeviceArray<float> dw{std::vector<float>(columns)};
  const TensorView weight = testing::VectorView(w);
  const TensorView inv = testing::VectorView(invs);
  const TensorView dweight = testing::VectorView(dw);
  const DeviceArray<char> memory(
      RmsNormBackwardCudaWorkspaceBytes(xs[0], dweight));
  const Workspace workspace{memory.data(), memory.size()};
  const double bytes = 2.0 * size;
  PrintBytes("forward", Measure([&](int i) {
               RmsNormForwardCuda({}, xs[i], weight, 1e-5f, outs[i], inv);
             }),
             2 * bytes);
  PrintBytes("residual add and forward", Measure([&](int i) {
               RmsNormAddForwardCuda({}, xs[i], others[i], weight, 1e-5f, xs[i],
                                     outs[i], inv);
             }),
             4 * bytes);
  PrintBytes("backward", Measure([&](int i) {
               RmsNormBackwardCuda({}, others[i], xs[i], weight, inv, false,
                                   outs[i], {}, {});
             }),
             3 * bytes);
  PrintBytes("backward, added to dx", Measure([&](int i) {
               RmsNormBackwardCuda({}, others[i], xs[i], weight, inv, true,
                                   outs[i], {}, {});
             }),
             4 * bytes);
  PrintBytes("backward with dweight", Measure([&](int i) {
               RmsNormBackwardCuda({}, others[i], xs[i], weight, inv, false,
                                   outs[i], dweight, workspace);
             }),
             3 * bytes);
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) {
  caracal::bench::PrintDevice();
  for (int i = 1; i + 2 <= argc; i += 2) {
    caracal::kernels::Benchmark(std::atoll(argv[i]), std::atoll(argv[i + 1]));
  }
  if (argc > 1) return 0;
  caracal::kernels::Benchmark(16384, 4096);
  caracal::kernels::Benchmark(16384, 576);
  return 0;
}
