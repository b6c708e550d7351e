// Times of AdamW on the GPU over the tensors of LoRA on the 8B shape (q, k, v,
// o of 32 layers, rank 8), of a transfer stage on it (feature maps), and one
// large tensor.
#include <deque>

#include "kernels/adamw/adamw_cuda.h"
#include "kernels/common/cuda_bench.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::PrintBytes;
using bench::RandomOnDevice;
using testing::DeviceArray;

void Benchmark(const char* name, const std::vector<int64_t>& sizes) {
  std::deque<DeviceArray<float>> arrays;
  std::deque<DeviceArray<uint16_t>> copies;
  std::vector<AdamWCudaTensor> entries;
  double total = 0;
  for (int64_t n : sizes) {
    TensorView views[4];
    for (int i = 0; i < 4; ++i) {
      arrays.push_back(RandomOnDevice<float>(n, 1e-2, i));
      views[i] = TensorView(arrays.back().data(), {n});
    }
    // No negative second moments.
    CARACAL_CUDA_CHECK(cudaMemset(views[3].data, 0, n * sizeof(float)));
    copies.emplace_back(n);
    entries.push_back({views[0], views[1], views[2], views[3],
                       TensorView(copies.back().data(), DType::kBF16, {n})});
    total += static_cast<double>(n);
  }
  std::printf("%s: %zu tensors, %.1f M elements\n", name, sizes.size(),
              total * 1e-6);
  const DeviceArray<char> memory(AdamWCudaTableBytes(entries.size()));
  const AdamWCudaTable table =
      MakeAdamWCudaTable({}, entries.data(), entries.size(), memory.data());
  AdamWConfig config;
  config.lr = 1e-6;
  const std::vector<AdamWConfig> configs(entries.size(), config);
  AdamWCudaConfigure({}, table, configs.data());
  const DeviceArray<double> sum(1);
  const DeviceArray<AdamWCudaClip> clip(1);
  const DeviceArray<char> parts(SumOfSquaresCudaWorkspaceBytes());
  const auto norm = [&](int) {
    SumOfSquaresCuda({}, table, AdamWCudaPart::kGrad, sum.data(),
                     {parts.data(), parts.size()});
    ClipCuda({}, sum.data(), 1, 1.0, clip.data());
  };
  PrintBytes("sum of squares and clip", Measure(norm), 4 * total);
  PrintBytes("step with bf16 copies",
             Measure([&](int) { AdamWStepCuda({}, table, clip.data()); }),
             30 * total);
  PrintBytes(
      "configure (upload)",
      Measure([&](int) { AdamWCudaConfigure({}, table, configs.data()); }), 0);
}

std::vector<int64_t> LoraSizes() {
  std::vector<int64_t> sizes;
  for (int layer = 0; layer < 32; ++layer) {
    for (int64_t out : {4096, 1024, 1024, 4096}) {
      sizes.push_back(8 * 4096);
      sizes.push_back(8 * out);
    }
  }
  return sizes;
}

std::vector<int64_t> TransferSizes() {
  std::vector<int64_t> sizes;
  for (int layer = 0; layer < 32; ++layer) {
    for (int64_t n : {32 * 128 * 64, 32 * 128 * 64, 32}) sizes.push_back(n);
  }
  return sizes;
}

}  // namespace
}  // namespace caracal::kernels

int main() {
  caracal::bench::PrintDevice();
  caracal::kernels::Benchmark("LoRA", caracal::kernels::LoraSizes());
  caracal::kernels::Benchmark("transfer", caracal::kernels::TransferSizes());
  caracal::kernels::Benchmark("one", {int64_t{1} << 28});
  return 0;
}
