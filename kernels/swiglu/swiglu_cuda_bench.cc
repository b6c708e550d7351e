// Times of SwiGLU on the GPU, gate and up as halves of one matrix:
//     swiglu_cuda_bench [rows F]...
#include <cstdlib>

#include "kernels/common/cuda_bench.h"
#include "kernels/swiglu/swiglu_cuda.h"

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
  DeviceArray<uint16_t> gate_up[2], dout[2], out(2 * size);
  for (int i = 0; i < 2; ++i) {
    gate_up[i] = RandomOnDevice<uint16_t>(2 * size, 3, i);
    dout[i] = RandomOnDevice<uint16_t>(size, 1, 2 + i);
  }
  const auto view = [&](const DeviceArray<uint16_t>& memory, int64_t begin,
                        int64_t stride) {
    TensorView v(memory.data() + begin, DType::kBF16, {rows, columns});
    v.stride[0] = stride;
    return v;
  };
  const int64_t both = 2 * columns;
  const TensorView slopes(out.data(), DType::kBF16, {rows, both});
  const auto forward = [&](int i, TensorView result, TensorView kept) {
    SwigluForwardCuda({}, view(gate_up[i], 0, both),
                      view(gate_up[i], columns, both), result, kept);
  };
  PrintBytes("forward",
             Measure([&](int i) { forward(i, view(out, 0, columns), {}); }),
             3.0 * 2 * size);
  PrintBytes("forward with slopes", Measure([&](int i) {
               forward(i, view(dout[i], 0, columns), slopes);
             }),
             5.0 * 2 * size);
  PrintBytes("backward", Measure([&](int i) {
               SwigluBackwardCuda({}, view(dout[i], 0, columns), slopes);
             }),
             5.0 * 2 * size);
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) {
  caracal::bench::PrintDevice();
  for (int i = 1; i + 2 <= argc; i += 2) {
    caracal::kernels::Benchmark(std::atoll(argv[i]), std::atoll(argv[i + 1]));
  }
  if (argc > 1) return 0;
  caracal::kernels::Benchmark(16384, 14336);
  caracal::kernels::Benchmark(16384, 1536);
  return 0;
}
