// Times of cross-entropy and KL divergence on the GPU, on bf16 logits:
//     cross_entropy_cuda_bench [rows V]...
#include <cstdlib>

#include "kernels/common/cuda_bench.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/cross_entropy/kl_divergence_cuda.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::PrintBytes;
using bench::RandomOnDevice;
using testing::DeviceArray;
using testing::VectorView;

void Benchmark(int64_t rows, int64_t v) {
  std::printf("%ld x %ld\n", static_cast<long>(rows), static_cast<long>(v));
  const int64_t size = rows * v;
  DeviceArray<uint16_t> memory[2], teachers[2];
  for (int i = 0; i < 2; ++i) {
    memory[i] = RandomOnDevice<uint16_t>(size, 10, i);
    teachers[i] = RandomOnDevice<uint16_t>(size, 10, 2 + i);
  }
  const auto view = [&](const DeviceArray<uint16_t>& m) {
    return TensorView(m.data(), DType::kBF16, {rows, v});
  };
  const DeviceArray<float> max(rows), sum(rows), target(rows);
  const DeviceArray<float> lse{std::vector<float>(rows, 18.0f)};
  const DeviceArray<float> weight{std::vector<float>(rows, 1e-3f)};
  const DeviceArray<int32_t> argmax(rows);
  const DeviceArray<int32_t> targets{std::vector<int32_t>(rows, 7)};
  const double bytes = 2.0 * size;
  PrintBytes("statistics", Measure([&](int i) {
               CrossEntropyStatisticsCuda(
                   {}, view(memory[i]), VectorView(targets), 0, VectorView(max),
                   VectorView(sum), VectorView(target), VectorView(argmax));
             }),
             bytes);
  PrintBytes("KL(teacher || student)", Measure([&](int i) {
               KlDivergenceCuda({}, KlDirection::kForward, view(memory[i]),
                                view(teachers[i]), VectorView(lse),
                                VectorView(lse), VectorView(max));
             }),
             2 * bytes);
  PrintBytes("KL gradient, in place", Measure([&](int i) {
               KlGradientCuda({}, KlDirection::kForward, view(memory[i]),
                              view(teachers[i]), VectorView(lse),
                              VectorView(lse), VectorView(max),
                              VectorView(weight));
             }),
             3 * bytes);
  PrintBytes("gradient, in place", Measure([&](int i) {
               CrossEntropyGradientCuda({}, view(memory[i]),
                                        VectorView(targets), 0, VectorView(lse),
                                        VectorView(weight));
             }),
             2 * bytes);
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) {
  caracal::bench::PrintDevice();
  for (int i = 1; i + 2 <= argc; i += 2) {
    caracal::kernels::Benchmark(std::atoll(argv[i]), std::atoll(argv[i + 1]));
  }
  if (argc > 1) return 0;
  caracal::kernels::Benchmark(2048, 128256);
  caracal::kernels::Benchmark(4096, 49152);
  return 0;
}
