// Times of one layer's hybrid attention on the GPU, feature maps included:
//     hybrid_attention_cuda_bench [H Hkv D F W S rows]...
// By default the 8B shape's (32 32 128 64 64 0 16384), with 8 key heads, and
// the 135M shape's. Checks the fast version against the plain one first. Each
// time is a median of repeats over two sets of inputs, with quantiles.
//
// FLOP counts the algorithm's own work a row and head (a multiply-add is 2):
// forward 2 (2 D F + 2 W D + 2 Fout D); bytes count each tensor once.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "kernels/common/cuda_bench.h"
#include "kernels/common/cuda_testing.h"
#include "kernels/common/kernel_testing.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda.h"

namespace caracal::kernels {
namespace {

using ::caracal::bench::Measure;
using ::caracal::bench::RandomOnDevice;
using ::caracal::bench::Times;
using ::caracal::testing::DeviceArray;
using ::caracal::testing::RoundToBf16;
using ::caracal::testing::Uniform;

struct Sizes {
  int64_t H, Hkv, D, F, window, sinks, rows;
};

std::vector<float> RandomFloats(int64_t count, double size, uint64_t seed) {
  Uniform random(seed, -size, size);
  std::vector<float> values(count);
  for (float& v : values) v = RoundToBf16(static_cast<float>(random()));
  return values;
}

struct Layer {
  Layer(const Sizes& s, int64_t length, uint64_t seed)
      : sizes(s),
        q(RandomOnDevice<uint16_t>(s.rows * s.H * s.D, 1.7, seed)),
        k(RandomOnDevice<uint16_t>(s.rows * s.Hkv * s.D, 1.7, seed + 1)),
        v(RandomOnDevice<uint16_t>(s.rows * s.Hkv * s.D, 1.7, seed + 2)),
        dy(RandomOnDevice<uint16_t>(s.rows * s.H * s.D, 1.7, seed + 3)),
        y(s.rows * s.H * s.D),
        dq(s.rows * s.H * s.D),
        dk(s.rows * s.Hkv * s.D),
        dv(s.rows * s.Hkv * s.D),
        weight_q(RandomFloats(s.H * s.D * s.F, 0.09, seed + 4)),
        weight_k(RandomFloats(s.H * s.D * s.F, 0.09, seed + 5)),
        factor(std::vector<float>(s.H, -2.1972246f)),
        dweight_q(std::vector<float>(s.H * s.D * s.F)),
        dweight_k(std::vector<float>(s.H * s.D * s.F)),
        dfactor(std::vector<float>(s.H)),
        softmax_den(s.H * s.rows),
        linear_den(s.H * s.rows),
        error(std::vector<double>(1)) {
    config.window = s.window;
    config.sinks = s.sinks;
    for (int64_t at = 0; at < s.rows; at += length) offsets.push_back(at);
    offsets.push_back(s.rows);
    terms.assign((offsets.size() - 1) * s.H, kHybridTerms);
    in.q = Rows(q, s.H);
    in.k = Rows(k, s.Hkv);
    in.v = Rows(v, s.Hkv);
    in.weight_q = TensorView(weight_q.data(), {s.H, s.D, s.F});
    in.weight_k = TensorView(weight_k.data(), {s.H, s.D, s.F});
    in.window_factor = TensorView(factor.data(), {s.H});
    in.offsets = offsets.data();
    in.sequences = static_cast<int64_t>(offsets.size()) - 1;
    in.terms = terms.data();
    out.y = Rows(y, s.H);
    out.softmax_den = TensorView(softmax_den.data(), {s.H, s.rows});
    out.linear_den = TensorView(linear_den.data(), {s.H, s.rows});
    borders = HybridAttentionBordersCuda(config, in);
    border_memory = DeviceArray<char>(borders.bytes);
    if (borders.bytes > 0) borders.memory = border_memory.data();
    saved = {out.y, out.softmax_den, out.linear_den, borders};
    all.dq = Rows(dq, s.H);
    all.dk = Rows(dk, s.Hkv);
    all.dv = Rows(dv, s.Hkv);
    transfer.dweight_q = all.dweight_q =
        TensorView(dweight_q.data(), {s.H, s.D, s.F});
    transfer.dweight_k = all.dweight_k =
        TensorView(dweight_k.data(), {s.H, s.D, s.F});
    transfer.dwindow_factor = all.dwindow_factor =
        TensorView(dfactor.data(), {s.H});
    from_dy.dy = Rows(dy, s.H);
    from_target.target = Rows(dy, s.H);
    from_target.scale = 0.5f;
    from_target.squared_error = error.data();
  }
  // Drops the softmax part of one in `every` (sequence, head), as scheduled
  // dropout does; none if 0.
  void Drop(size_t every) {
    for (size_t i = 0; i < terms.size(); ++i) {
      terms[i] = every > 0 && (i / sizes.H + i % sizes.H) % every == 0
                     ? kLaOnlyTerms
                     : kHybridTerms;
    }
  }
  TensorView Rows(const DeviceArray<uint16_t>& memory, int64_t heads) {
    return TensorView(memory.data(), DType::kBF16,
                      {sizes.rows, heads, sizes.D});
  }
  void Forward(Workspace workspace, CudaVersion version) {
    HybridAttentionForwardCuda({}, config, in, nullptr, out, workspace, version,
                               borders);
  }
  void Backward(Workspace workspace, CudaVersion version) {
    HybridAttentionBackwardCuda({}, config, in, from_dy, all, workspace,
                                version, &saved);
  }
  void Transfer(Workspace workspace, CudaVersion version) {
    HybridAttentionBackwardCuda({}, config, in, from_target, transfer,
                                workspace, version);
  }
  // From a given dy and what the forward left, as when that is timed apart.
  void TransferFromGradient(Workspace workspace, CudaVersion version) {
    HybridAttentionBackwardCuda({}, config, in, from_dy, transfer, workspace,
                                version, &saved);
  }
  size_t WorkspaceBytes(CudaVersion version) {
    return std::max(
        {HybridAttentionForwardCudaWorkspaceBytes(config, in, version),
         HybridAttentionBackwardCudaWorkspaceBytes(config, in, from_dy, all,
                                                   version),
         HybridAttentionBackwardCudaWorkspaceBytes(config, in, from_target,
                                                   transfer, version)});
  }

  Sizes sizes;
  DeviceArray<uint16_t> q, k, v, dy, y, dq, dk, dv;
  DeviceArray<float> weight_q, weight_k, factor;
  DeviceArray<float> dweight_q, dweight_k, dfactor;
  DeviceArray<float> softmax_den, linear_den;
  DeviceArray<double> error;
  DeviceArray<char> border_memory;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> terms;
  HybridAttentionConfig config;
  HybridAttentionInputs in;
  HybridAttentionOutputs out;
  HybridAttentionBorders borders;
  HybridAttentionSaved saved;
  HybridAttentionGradients all, transfer;
  HybridAttentionCotangent from_dy, from_target;
};

double ToDouble(uint16_t bits) { return FloatFromBf16(bits); }
double ToDouble(float value) { return value; }

template <typename T>
double RelativeDistance(const std::vector<T>& a, const std::vector<T>& b) {
  double off = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = ToDouble(a[i]), y = ToDouble(b[i]);
    off += (x - y) * (x - y);
    norm += y * y;
  }
  return std::sqrt(off / norm);
}

// Prints distances of the fast version from the plain one; false if any is
// beyond bf16.
bool Check(const Sizes& sizes, int64_t length, size_t dropped) {
  struct Results {
    std::vector<uint16_t> y, dq, dk, dv;
    std::vector<float> dweight_q, dweight_k, dfactor;
    std::vector<float> transfer_q, transfer_k, transfer_factor;
  };
  Results results[2];
  for (int i = 0; i < 2; ++i) {
    const CudaVersion version =
        i == 0 ? CudaVersion::kPlain : CudaVersion::kBest;
    Layer layer(sizes, length, 1);
    layer.Drop(dropped);
    DeviceArray<char> memory(layer.WorkspaceBytes(version));
    layer.Forward({memory.data(), memory.size()}, version);
    layer.Backward({memory.data(), memory.size()}, version);
    Layer regression(sizes, length, 1);
    regression.Drop(dropped);
    regression.Transfer({memory.data(), memory.size()}, version);
    CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
    results[i] = {layer.y.Host(),
                  layer.dq.Host(),
                  layer.dk.Host(),
                  layer.dv.Host(),
                  layer.dweight_q.Host(),
                  layer.dweight_k.Host(),
                  layer.dfactor.Host(),
                  regression.dweight_q.Host(),
                  regression.dweight_k.Host(),
                  regression.dfactor.Host()};
  }
  const Results &want = results[0], &got = results[1];
  const double distances[] = {
      RelativeDistance(got.y, want.y),
      RelativeDistance(got.dq, want.dq),
      RelativeDistance(got.dk, want.dk),
      RelativeDistance(got.dv, want.dv),
      RelativeDistance(got.dweight_q, want.dweight_q),
      RelativeDistance(got.dweight_k, want.dweight_k),
      RelativeDistance(got.dfactor, want.dfactor),
      RelativeDistance(got.transfer_q, want.transfer_q),
      RelativeDistance(got.transfer_k, want.transfer_k),
      RelativeDistance(got.transfer_factor, want.transfer_factor)};
  std::printf(
      "check T=%ld%s: y %.1e dq %.1e dk %.1e dv %.1e dWq %.1e dWk %.1e "
      "dw %.1e, transfer dWq %.1e dWk %.1e dw %.1e\n",
      static_cast<long>(length), dropped > 0 ? ", half dropped" : "",
      distances[0], distances[1], distances[2], distances[3], distances[4],
      distances[5], distances[6], distances[7], distances[8], distances[9]);
  return std::all_of(std::begin(distances), std::end(distances),
                     [](double d) { return d < 0.05; });
}

void Print(const char* name, const Times& t, double flop, double bytes) {
  std::printf("  %-30s %7.3f ms (%.3f - %.3f)  %6.1f TFLOP/s  %5.2f TB/s\n",
              name, t.median, t.low, t.high, flop / t.median * 1e-9,
              bytes / t.median * 1e-9);
}

void Benchmark(const Sizes& s, int64_t length) {
  Layer first(s, length, 1), second(s, length, 100);
  Layer* const layers[] = {&first, &second};
  const CudaVersion version = CudaVersion::kBest;
  DeviceArray<char> memory(first.WorkspaceBytes(version));
  const Workspace workspace{memory.data(), memory.size()};
  std::printf(
      "H=%ld Hkv=%ld D=%ld F=%ld W=%ld S=%ld B=%ld T=%ld, workspace "
      "%.0f MB\n",
      static_cast<long>(s.H), static_cast<long>(s.Hkv), static_cast<long>(s.D),
      static_cast<long>(s.F), static_cast<long>(s.window),
      static_cast<long>(s.sinks), static_cast<long>(s.rows / length),
      static_cast<long>(length), memory.size() * 1e-6);
  const double row_heads = static_cast<double>(s.rows) * s.H;
  const double map = 2.0 * s.D * s.F, state = 2.0 * 2 * s.F * s.D;
  const double window = 2.0 * s.window * s.D;  // of heads that have one
  const double forward = row_heads * (2 * map + 2 * window + 2 * state);
  // All gradients: dphi through both states and dv through one (each state
  // also has to be formed), the window's dP, dq, dk, dv, and dz's two uses.
  const double backward = row_heads * (2 * map + window + 2 * state +
                                       4 * window + 3 * state + 4 * map);
  const double transfer =
      row_heads * (2 * map + window + 2 * state + window + 2 * state + 2 * map);
  const double q_bytes = 2.0 * row_heads * s.D;
  const double k_bytes = q_bytes * s.Hkv / s.H;
  Print("forward",
        Measure([&](int i) { layers[i]->Forward(workspace, version); }),
        forward, 2 * q_bytes + 2 * k_bytes);
  Print("backward, all gradients",
        Measure([&](int i) { layers[i]->Backward(workspace, version); }),
        backward, 3 * q_bytes + 4 * k_bytes);
  for (const auto& [name, every] : {std::pair("forward + backward", 0),
                                    {"half of the heads dropped", 2},
                                    {"all dropped", 1}}) {
    for (Layer* layer : layers) layer->Drop(every);
    const double windows = row_heads * 7 * window;
    Print(name, Measure([&](int i) {
            layers[i]->Forward(workspace, version);
            layers[i]->Backward(workspace, version);
          }),
          forward + backward - (every > 0 ? windows / every : 0),
          5 * q_bytes + 6 * k_bytes);
  }
  for (Layer* layer : layers) layer->Drop(0);
  Print("transfer, dy given", Measure([&](int i) {
          layers[i]->TransferFromGradient(workspace, version);
        }),
        transfer, 2 * q_bytes + 2 * k_bytes);
  for (const auto& [name, every] : {std::pair("transfer, from a target", 0),
                                    {"transfer, half dropped", 2}}) {
    for (Layer* layer : layers) layer->Drop(every);
    const double windows = row_heads * 4 * window;
    Print(name,
          Measure([&](int i) { layers[i]->Transfer(workspace, version); }),
          forward + transfer - (every > 0 ? windows / every : 0),
          2 * q_bytes + 2 * k_bytes);
  }
}

int Main(int argc, char** argv) {
  bench::PrintDevice();
  std::vector<Sizes> all;
  for (int i = 1; i + 7 <= argc; i += 7) {
    const auto number = [&](int at) { return std::atoll(argv[i + at]); };
    all.push_back({number(0), number(1), number(2), number(3), number(4),
                   number(5), number(6)});
  }
  if (all.empty()) {
    all = {{32, 32, 128, 64, 64, 0, 16384},
           {32, 8, 128, 64, 64, 0, 16384},
           {32, 32, 128, 64, 64, 4, 16384},
           {9, 3, 64, 64, 64, 4, 16384}};
  }
  bool good = true;
  for (const Sizes& s : all) {
    Sizes small = s;
    small.rows = 4096;
    for (const size_t dropped : {0, 2}) {
      good = Check(small, 1024, dropped) && Check(small, 4096, dropped) && good;
    }
    for (int64_t length = 1024; length < s.rows; length *= 4) {
      Benchmark(s, length);
    }
    Benchmark(s, s.rows);
    Sizes large = s;
    if (&s == &all[0]) {
      large.rows = 131072;
      Benchmark(large, large.rows);
    }
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
