// Measures the speed of a stage on this machine.
#ifndef CARACAL_JOBS_BENCH_BENCH_H_
#define CARACAL_JOBS_BENCH_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dist/gang/gang.h"
#include "jobs/bench/flops.h"
#include "jobs/bench/kernel_times.h"

namespace caracal {

struct BenchOptions {
  std::string model;               // a model file or folder; or
  std::string shape = "135m";      // random weights of this shape
  std::string stage = "transfer";  // "transfer", "finetune", "decode"
  int64_t batch = 4;               // rows a step; decode: sequences
  int64_t micro_batch = 0;         // 0: batch
  int64_t seq_len = 512;           // T; decode: tokens of context before it
  int64_t window = 64;
  int64_t sinks = 0;
  int64_t features = 0;     // F; 0: the head dimension
  int64_t new_tokens = 64;  // decode: tokens measured
  // Component mode: of decoding, or of the student in training.
  std::string mode = "hybrid";
  std::string loss = "mse";  // transfer: "mse" or "xent"
  double drop = 0;           // finetune: SSD's drop probability
  int steps = 3;             // measured, after one or (on a GPU) two to warm up
  // On a GPU, training: every pass is launched kernel by kernel, none as it was
  // recorded.
  bool launches = false;
  int threads = 0;
  // "cpu", "cuda", or "auto": a GPU where every rank has one that runs the
  // model.
  std::string device = "auto";
  // The ranks of a training stage; `batch` and `micro_batch` are each data
  // rank's. Borrowed; null: this process alone. All ranks call.
  Gang* gang = nullptr;
};

struct BenchResult {
  double tokens_per_s = 0;          // of all ranks; median over steps
  double low = 0, high = 0;         // slowest and fastest step
  double prefill_tokens_per_s = 0;  // decode only
  // Decode on a GPU: what a step reads and writes of its memory, that over its
  // time, and what a copy reaches.
  double step_bytes = 0, bytes_per_s = 0, copy_rate = 0;
  size_t cache_bytes = 0;  // decode only: of what all sequences remember
  // transfer on the CPU, one rank: the speed if the teacher's own attention,
  // whose work grows with T, cost nothing (its time is measured by itself and
  // taken away).
  double tokens_per_s_without_teacher_attention = 0;
  FlopCount flops;  // per token
  // FLOP/s: the library's fp32 (on a GPU bf16) products of the model's shapes.
  double matrix_rate = 0;
  double mfu = 0;  // tokens_per_s * flops / (ranks * matrix_rate)
  // Resident memory of the process, at most; or of the GPU's what this program
  // took, without what driver, graphs and NCCL take beside it.
  uint64_t peak_bytes = 0;
  // Training on a GPU: how often this rank waits for it in a step
  // (Device::waits()).
  double waits_per_step = 0;
  // A step of a GPU, measured after the others (decode: the mean of a few); and
  // why there is none.
  std::vector<KernelTime> kernels;
  std::string no_kernels;
  // Why passes were launched kernel by kernel although they were to be
  // recorded.
  std::string not_recorded;
  double loss = 0;          // training only: of the first step, on random rows
  double load_seconds = 0;  // file to ready model
  int threads = 0;
  int ranks = 1;
  std::string device;  // "CPU", or the GPU's name
};

absl::StatusOr<BenchResult> RunBench(const BenchOptions& options);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_BENCH_H_
