// Times of LoRA on the GPU beside its projection, 16,384 tokens:
//     lora_cuda_bench [rows in out rank]...
#include <cstdlib>

#include "kernels/common/cuda_bench.h"
#include "kernels/lora/lora_cuda.h"

namespace caracal::kernels {
namespace {

using bench::Measure;
using bench::PrintBytes;
using bench::RandomOnDevice;
using testing::DeviceArray;

void Benchmark(MatMulCudaPlans& plans, Workspace workspace, int64_t rows,
               int64_t in, int64_t out, int64_t rank) {
  std::printf("rows %ld in %ld out %ld rank %ld\n", static_cast<long>(rows),
              static_cast<long>(in), static_cast<long>(out),
              static_cast<long>(rank));
  const auto view = [](const DeviceArray<uint16_t>& memory, int64_t r,
                       int64_t c) {
    return TensorView(memory.data(), DType::kBF16, {r, c});
  };
  DeviceArray<uint16_t> xs[2], dys[2], ys[2], dxs[2];
  for (int i = 0; i < 2; ++i) {
    xs[i] = RandomOnDevice<uint16_t>(rows * in, 1, 4 * i);
    dys[i] = RandomOnDevice<uint16_t>(rows * out, 1, 4 * i + 1);
    ys[i] = RandomOnDevice<uint16_t>(rows * out, 1, 4 * i + 2);
    dxs[i] = RandomOnDevice<uint16_t>(rows * in, 1, 4 * i + 3);
  }
  const auto weights = RandomOnDevice<uint16_t>(out * in, 0.02, 20);
  const auto as = RandomOnDevice<uint16_t>(rank * in, 0.02, 21);
  const auto bs = RandomOnDevice<uint16_t>(out * rank, 0.02, 22);
  const DeviceArray<uint16_t> xas(rows * rank), dxas(rows * rank);
  const DeviceArray<float> das{std::vector<float>(rank * in)};
  const DeviceArray<float> dbs{std::vector<float>(out * rank)};
  const TensorView a = view(as, rank, in), b = view(bs, out, rank);
  const TensorView xa = view(xas, rows, rank), dxa = view(dxas, rows, rank);
  const TensorView weight = view(weights, out, in);
  const TensorView da(das.data(), {rank, in}), db(dbs.data(), {out, rank});
  const double x_bytes = 2.0 * rows * in, y_bytes = 2.0 * rows * out;
  const auto project = [&](int i, float beta) {
    MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes, 1,
               view(xs[i], rows, in), weight, beta, view(ys[i], rows, out),
               workspace);
  };
  const auto forward = [&](int i, bool accumulate) {
    LoraForwardCuda({}, plans, view(xs[i], rows, in), a, b, 1, accumulate, xa,
                    view(ys[i], rows, out), workspace);
  };
  const auto project_back = [&](int i, float beta) {
    MatMulCuda({}, plans, Transpose::kNo, Transpose::kNo, 1,
               view(dys[i], rows, out), weight, beta, view(dxs[i], rows, in),
               workspace);
  };
  const auto backward = [&](int i, bool accumulate) {
    LoraBackwardCuda({}, plans, view(dys[i], rows, out), view(xs[i], rows, in),
                     xa, a, b, 1, accumulate, dxa, da, db,
                     view(dxs[i], rows, in), workspace);
  };
  const auto print = [&](const char* name, double bytes,
                         const std::function<void(int)>& run) {
    PrintBytes(name, Measure(run), bytes);
  };
  print("projection alone", x_bytes + y_bytes, [&](int i) { project(i, 0); });
  print("LoRA, added", x_bytes + 2 * y_bytes, [&](int i) { forward(i, true); });
  print("LoRA, overwriting", x_bytes + y_bytes,
        [&](int i) { forward(i, false); });
  print("LoRA, then projection added", x_bytes + y_bytes, [&](int i) {
    forward(i, false);
    project(i, 1);
  });
  print("projection, then LoRA added", x_bytes + y_bytes, [&](int i) {
    project(i, 0);
    forward(i, true);
  });
  print("projection's dx alone", x_bytes + y_bytes,
        [&](int i) { project_back(i, 0); });
  print("LoRA backward, dx added", 3 * x_bytes + y_bytes,
        [&](int i) { backward(i, true); });
  print("LoRA backward, then dx added", 2 * x_bytes + y_bytes, [&](int i) {
    backward(i, false);
    project_back(i, 1);
  });
  {
    const auto folded =
        RandomOnDevice<uint16_t>((out + rank) * (in + rank), 0.02, 30);
    const TensorView weight_ab = view(folded, out + rank, in + rank);
    DeviceArray<uint16_t> wide_x[2], wide_dy[2];
    for (int i = 0; i < 2; ++i) {
      wide_x[i] = RandomOnDevice<uint16_t>(rows * (in + rank), 1, 31 + i);
      wide_dy[i] = RandomOnDevice<uint16_t>(rows * (out + rank), 1, 33 + i);
    }
    const auto columns = [&](const DeviceArray<uint16_t>& memory, int64_t begin,
                             int64_t count, int64_t stride) {
      TensorView v(memory.data() + begin, DType::kBF16, {rows, count});
      v.stride[0] = stride;
      return v;
    };
    print("folded forward", x_bytes + y_bytes, [&](int i) {
      LoraFoldedForwardCuda({}, plans, view(wide_x[i], rows, in + rank),
                            weight_ab, rank, view(ys[i], rows, out), workspace);
    });
    print("folded backward", 2 * x_bytes + y_bytes, [&](int i) {
      LoraFoldedBackwardCuda({}, plans, view(wide_dy[i], rows, out + rank),
                             weight_ab, rank, false, view(dxs[i], rows, in),
                             workspace);
      LoraGradientsCuda({}, plans, columns(wide_dy[i], 0, out, out + rank),
                        columns(wide_x[i], 0, in, in + rank),
                        columns(wide_x[i], in, rank, in + rank),
                        columns(wide_dy[i], out, rank, out + rank), 1, da, db,
                        workspace);
    });
  }
  print("  dxa = dy B", y_bytes, [&](int i) {
    MatMulCuda({}, plans, Transpose::kNo, Transpose::kNo, 1,
               view(dys[i], rows, out), b, 0, dxa, workspace);
  });
  print("  db += dy^T xa", y_bytes, [&](int i) {
    MatMulCuda({}, plans, Transpose::kYes, Transpose::kNo, 1,
               view(dys[i], rows, out), xa, 1, db, workspace);
  });
  print("  da += dxa^T x", x_bytes, [&](int i) {
    MatMulCuda({}, plans, Transpose::kYes, Transpose::kNo, 1, dxa,
               view(xs[i], rows, in), 1, da, workspace);
  });
}

int Main(int argc, char** argv) {
  bench::PrintDevice();
  MatMulCudaPlans plans;
  const DeviceArray<char> memory(kMatMulCudaWorkspaceBytes);
  const Workspace workspace{memory.data(), memory.size()};
  for (int i = 1; i + 4 <= argc; i += 4) {
    Benchmark(plans, workspace, std::atoll(argv[i]), std::atoll(argv[i + 1]),
              std::atoll(argv[i + 2]), std::atoll(argv[i + 3]));
  }
  if (argc > 1) return 0;
  Benchmark(plans, workspace, 16384, 4096, 4096, 8);
  Benchmark(plans, workspace, 16384, 4096, 1024, 8);
  Benchmark(plans, workspace, 16384, 4096, 6144, 24);
  Benchmark(plans, workspace, 16384, 576, 576, 8);
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
