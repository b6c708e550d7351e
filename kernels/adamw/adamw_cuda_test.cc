// AdamW on the GPU gives the scalar reference's bits; the sum of squares
// against long double.
#include "kernels/adamw/adamw_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/adamw/adamw.h"
#include "kernels/common/cuda_testing.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::PoolContext;
using testing::RandomVector;
using testing::RoundToBf16;
using testing::ScopedIsa;
using testing::Uniform;

// Remainders of a vector, a piece and a block's round; an empty one, too.
const int64_t kSizes[] = {1,    2, 3,    4,    5,    7,  1023,  1024,
                          1029, 0, 8191, 8192, 8193, 32, 100003};

// Elements behind each array that nobody may write.
constexpr int64_t kBorder = 8;

// One tensor's arrays on the device and, in step with them, on the host.
struct Tensor {
  Tensor(int64_t n, uint64_t seed, bool with_copy)
      : n(n),
        has_copy(with_copy),
        shift(seed % 4 == 3 ? 1 + seed / 4 % 3 : 0),
        copy(n + kBorder) {
    for (int i = 0; i < 4; ++i) {
      // Second moments are not negative.
      host[i] = RandomVector(n, Uniform(seed * 10 + i, i == 3 ? 0 : -1, 1));
    }
    Upload();
  }
  void Upload() {
    for (int i = 0; i < 4; ++i) {
      std::vector<float> padded = host[i];
      padded.resize(n + kBorder, 98765.0f);
      padded.insert(padded.begin(), shift, 98765.0f);
      device[i] = DeviceArray<float>(padded);
    }
  }
  TensorView View(int i) const {
    return TensorView(device[i].data() + shift, {n});
  }
  AdamWCudaTensor Entry() const {
    AdamWCudaTensor t{View(0), View(1), View(2), View(3), {}};
    if (has_copy) t.copy = TensorView(copy.data(), DType::kBF16, {n});
    return t;
  }
  void ReferenceStep(const AdamWConfig& config) {
    PoolContext pool(1);
    ScopedIsa scoped(Isa::kScalar);
    const auto view = [&](int i) { return TensorView(host[i].data(), {n}); };
    if (n > 0) {
      AdamWStep(pool.ctx, config, view(0), view(1), view(2), view(3));
    }
  }
  void ExpectSameBits() const {
    for (int i = 0; i < 4; ++i) {
      std::vector<float> padded = host[i];
      padded.resize(n + kBorder, 98765.0f);
      padded.insert(padded.begin(), shift, 98765.0f);
      EXPECT_EQ(device[i].Host(), padded) << "size " << n << " array " << i;
    }
    const std::vector<uint16_t> got = copy.Host();
    for (int64_t i = 0; i < n + kBorder; ++i) {
      const bool written = has_copy && i < n;
      ASSERT_EQ(got[i], written ? Bf16FromFloat(host[0][i]) : 0xffff)
          << "size " << n << " at " << i;
    }
  }
  int64_t n;
  bool has_copy;
  // Elements before the first: some start at no multiple of 16 bytes.
  int64_t shift;
  std::vector<float> host[4];  // param, grad, m, v
  DeviceArray<float> device[4];
  DeviceArray<uint16_t> copy;
};

struct Model {
  Model() {
    for (int64_t n : kSizes) {
      const size_t i = tensors.size();
      tensors.emplace_back(n, i, i % 3 != 1);
      AdamWConfig config;
      config.lr = 1e-3 * static_cast<double>(1 + i);
      config.beta2 = 0.95;
      config.weight_decay = 0.1 * static_cast<double>(i % 4);
      config.step = 3;
      configs.push_back(config);
    }
    List();
  }
  void List() {
    std::vector<AdamWCudaTensor> entries;
    for (const Tensor& t : tensors) entries.push_back(t.Entry());
    memory = DeviceArray<char>(AdamWCudaTableBytes(entries.size()));
    table =
        MakeAdamWCudaTable({}, entries.data(), entries.size(), memory.data());
  }
  double SumOfSquares(AdamWCudaPart part) const {
    const DeviceArray<double> sum(1);
    const DeviceArray<char> parts(SumOfSquaresCudaWorkspaceBytes());
    SumOfSquaresCuda({}, table, part, sum.data(), {parts.data(), parts.size()});
    return sum.Host()[0];
  }
  std::vector<Tensor> tensors;
  std::vector<AdamWConfig> configs;
  DeviceArray<char> memory;
  AdamWCudaTable table;
};

TEST(AdamWCuda, AllTensorsHaveTheReferencesBits) {
  Model model;
  for (int step = 1; step <= 3; ++step) {
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      model.configs[i].step = step;
      model.configs[i].grad_scale = step == 2 ? 0.3 : 1;
      model.tensors[i].ReferenceStep(model.configs[i]);
    }
    AdamWCudaConfigure({}, model.table, model.configs.data());
    AdamWStepCuda({}, model.table, nullptr);
    for (const Tensor& t : model.tensors) t.ExpectSameBits();
  }
}

TEST(AdamWCuda, ClipStaysOnTheDevice) {
  Model model;
  const double sum = model.SumOfSquares(AdamWCudaPart::kGrad);
  for (double max_norm : {1.0, 1e6, 0.0}) {
    // As three shards leave it.
    const DeviceArray<double> sums(
        std::vector<double>{sum / 4, sum / 2, sum / 4});
    const DeviceArray<AdamWCudaClip> clip(1);
    ClipCuda({}, sums.data(), 3, max_norm, clip.data());
    const double expected =
        max_norm == 0 ? 1 : std::min(1.0, max_norm / (std::sqrt(sum) + 1e-6));
    EXPECT_EQ(clip.Host()[0].factor, static_cast<float>(expected));
    EXPECT_EQ(clip.Host()[0].finite, 1);
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      AdamWConfig config = model.configs[i];
      config.grad_scale = expected;
      model.tensors[i].ReferenceStep(config);
    }
    AdamWCudaConfigure({}, model.table, model.configs.data());
    AdamWStepCuda({}, model.table, clip.data());
    for (const Tensor& t : model.tensors) t.ExpectSameBits();
  }
}

// A NaN or infinity anywhere, and no tensor changes.
TEST(AdamWCuda, NothingMovesWhenAGradientIsNotFinite) {
  for (float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    Model model;
    Tensor& last = model.tensors.back();
    last.host[1][77777] = bad;
    last.Upload();
    model.List();
    const DeviceArray<double> sum(
        std::vector<double>{model.SumOfSquares(AdamWCudaPart::kGrad)});
    EXPECT_FALSE(std::isfinite(sum.Host()[0]));
    EXPECT_TRUE(std::isfinite(model.SumOfSquares(AdamWCudaPart::kParam)));
    const DeviceArray<AdamWCudaClip> clip(1);
    ClipCuda({}, sum.data(), 1, 1.0, clip.data());
    EXPECT_EQ(clip.Host()[0].finite, 0);
    AdamWCudaConfigure({}, model.table, model.configs.data());
    AdamWStepCuda({}, model.table, clip.data());
    for (const Tensor& t : model.tensors) {
      for (int i : {0, 2, 3}) {
        std::vector<float> got = t.device[i].Host();
        got.erase(got.begin(), got.begin() + t.shift);
        got.resize(t.n);
        EXPECT_EQ(got, t.host[i]) << "size " << t.n << " array " << i;
      }
    }
  }
}

TEST(SumOfSquaresCuda, MatchesLongDoubleTwice) {
  Model model;
  // Large numbers are finite, and so is what they add up to.
  model.tensors[4].host[1][4] = std::numeric_limits<float>::max();
  model.tensors[4].Upload();
  model.List();
  for (AdamWCudaPart part : {AdamWCudaPart::kParam, AdamWCudaPart::kGrad}) {
    long double expected = 0;
    int64_t n = 0;
    for (const Tensor& t : model.tensors) {
      for (float x : t.host[part == AdamWCudaPart::kGrad ? 1 : 0]) {
        expected += static_cast<long double>(x) * x;
        ++n;
      }
    }
    const double got = model.SumOfSquares(part);
    EXPECT_NEAR(got, static_cast<double>(expected),
                (n + 1) * 0x1p-53 * static_cast<double>(expected));
    EXPECT_EQ(got, model.SumOfSquares(part));
  }
}

// Many pieces, so that a block of the sum takes several.
TEST(SumOfSquaresCuda, MorePiecesThanBlocks) {
  const int64_t n = 8192 * 1024 * 2 + 5;
  const DeviceArray<float> x(std::vector<float>(n, 0.5f));
  const TensorView view(x.data(), {n});
  const AdamWCudaTensor entry{view, view, view, view, {}};
  const DeviceArray<char> memory(AdamWCudaTableBytes(1));
  const AdamWCudaTable table = MakeAdamWCudaTable({}, &entry, 1, memory.data());
  const DeviceArray<double> sum(1);
  const DeviceArray<char> parts(SumOfSquaresCudaWorkspaceBytes());
  SumOfSquaresCuda({}, table, AdamWCudaPart::kGrad, sum.data(),
                   {parts.data(), parts.size()});
  EXPECT_EQ(sum.Host()[0], 0.25 * n);
}

TEST(AccumulateCuda, AddsEveryElementOnce) {
  for (int64_t n : {1, 3, 4, 7, 8, 9, 2047, 2048, 2055, 100003}) {
    const std::vector<float> x = RandomVector(n, Uniform(1));
    std::vector<float> y = RandomVector(n + kBorder, Uniform(2));
    std::vector<uint16_t> x16(n), y16(n + kBorder);
    for (int64_t i = 0; i < n; ++i) x16[i] = Bf16FromFloat(x[i]);
    for (int64_t i = 0; i < n + kBorder; ++i) y16[i] = Bf16FromFloat(y[i]);
    const DeviceArray<float> xs(x), ys(y);
    const DeviceArray<uint16_t> x16s(x16), y16s(y16);
    AccumulateCuda({}, TensorView(xs.data(), {n}), TensorView(ys.data(), {n}));
    AccumulateCuda({}, TensorView(x16s.data(), DType::kBF16, {n}),
                   TensorView(y16s.data(), DType::kBF16, {n}));
    for (int64_t i = 0; i < n; ++i) {
      y[i] += x[i];
      y16[i] = Bf16FromFloat(FloatFromBf16(y16[i]) + FloatFromBf16(x16[i]));
    }
    EXPECT_EQ(ys.Host(), y) << n;
    EXPECT_EQ(y16s.Host(), y16) << n;
  }
}

TEST(SumCuda, AddsInOrderAndRoundsOnce) {
  for (int count = 2; count <= kMostTerms; ++count) {
    for (int64_t n : {1, 7, 8, 9, 2047, 2055, 100003}) {
      std::vector<float> sum(n);
      std::vector<uint16_t> expected(n + kBorder, 0x4242);
      std::vector<DeviceArray<uint16_t>> arrays;
      std::vector<ConstTensorView> terms;
      for (int t = 0; t < count; ++t) {
        const std::vector<float> x = RandomVector(n, Uniform(t + 1));
        std::vector<uint16_t> x16(n);
        for (int64_t i = 0; i < n; ++i) {
          x16[i] = Bf16FromFloat(x[i]);
          sum[i] += FloatFromBf16(x16[i]);
        }
        arrays.emplace_back(x16);
        terms.emplace_back(arrays.back().data(), DType::kBF16,
                           std::initializer_list<int64_t>{n});
      }
      for (int64_t i = 0; i < n; ++i) expected[i] = Bf16FromFloat(sum[i]);
      const DeviceArray<uint16_t> out(
          std::vector<uint16_t>(n + kBorder, 0x4242));
      SumCuda({}, terms.data(), count,
              TensorView(out.data(), DType::kBF16, {n}));
      EXPECT_EQ(out.Host(), expected) << count << " terms of " << n;
      // To one of them.
      SumCuda({}, terms.data(), count,
              TensorView(arrays[1].data(), DType::kBF16, {n}));
      expected.resize(n);
      EXPECT_EQ(arrays[1].Host(), expected) << count << " terms of " << n;
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
