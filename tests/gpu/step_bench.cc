// Whole training steps out of the CUDA kernels, in the order of a model of
// Llama's shape, on random weights: what tokens/s they allow, launches and the
// chip's clock under load included. No model code, no files.
//     step_bench transfer|finetune [8b|135m] [rows of 1,024 tokens] [OPTION...]
//       --tensor N, --data N   on N GPUs of this machine, a thread each; `rows`
//                              are those of all tensor ranks, and of each data
//                              rank. One GPU is measured first.
//       --chunks N             rows in N (1, 2) chunks: collectives of one run
//                              under products of the other (2 with --tensor)
//       --exchange WHAT        nccl, or copies: two tensor ranks' rows by the
//                              copy engines (not with --graph)
//       --multiprocessors N    for products; the others are for collectives
//       --graph                the step as one CUDA graph
//       --layers N             fewer than the shape has
//       --check                instead of times: the first step's loss and
//                              gradients on one GPU and on N
//       --alone                do not measure one GPU first
//
// transfer: each layer's forward with full causal attention, whose output is
// the target of hybrid attention's feature maps; AdamW over these. finetune:
// forward with hybrid attention and LoRA (rank 8 on q, k, v, o, folded into the
// projections), loss in pieces, backward, clip, AdamW over LoRA.
//
// MFU counts the algorithm's own work on frozen weights, as docs/benchmarks.md
// does for the CPU: 2 FLOP a parameter and token for transfer (one forward), 4
// for finetune; attention is not counted.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/collective/thread_collective.h"
#include "tests/gpu/step_model.h"

namespace caracal::kernels {
namespace {

constexpr int kWarmUp = 4, kRepeats = 21;

struct Options {
  StepOptions step;
  std::string stage, size = "8b";
  int tensor = 1, data = 1;
  std::string exchange = "nccl";
  bool graph = false, check = false, alone = false;
  int ranks() const { return tensor * data; }
};

struct Result {
  bench::Times times = {};
  double first_loss = 0, last_loss = 0;
  double gib = 0;  // of one GPU's memory
  double parameters = 0;
  std::vector<float> gradient;  // of the first step, where it is asked for
  std::vector<int64_t> ends;    // of its tensors
};

// Steps on the device, enqueued one by one or as a graph.
class Steps {
 public:
  Steps(Model& model, Ranks& ranks) : model_(model), ranks_(ranks) {}
  ~Steps() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }
  void Run() {
    model_.Configure(++step_);
    if (graph_ == nullptr) {
      model_.Step();
    } else {
      CARACAL_CUDA_CHECK(cudaGraphLaunch(graph_, ranks_.stream()));
    }
  }
  // After a step that was enqueued: it has chosen the products' algorithms.
  void Record() {
    cudaGraph_t graph = nullptr;
    CARACAL_CUDA_CHECK(cudaStreamBeginCapture(
        ranks_.stream(), cudaStreamCaptureModeThreadLocal));
    model_.Step();
    CARACAL_CUDA_CHECK(cudaStreamEndCapture(ranks_.stream(), &graph));
    CARACAL_CUDA_CHECK(cudaGraphInstantiate(&graph_, graph, 0));
    CARACAL_CUDA_CHECK(cudaGraphDestroy(graph));
  }
  int64_t count() const { return step_; }

 private:
  Model& model_;
  Ranks& ranks_;
  cudaGraphExec_t graph_ = nullptr;
  int64_t step_ = 0;
};

bench::Times Measure(Steps& steps, Ranks& ranks) {
  cudaEvent_t events[kRepeats + 1];
  for (cudaEvent_t& e : events) CARACAL_CUDA_CHECK(cudaEventCreate(&e));
  for (int i = 0; i < kWarmUp; ++i) steps.Run();
  ranks.Barrier();
  for (int i = 0; i < kRepeats; ++i) {
    CARACAL_CUDA_CHECK(cudaEventRecord(events[i], ranks.stream()));
    steps.Run();
  }
  CARACAL_CUDA_CHECK(cudaEventRecord(events[kRepeats], ranks.stream()));
  ranks.Barrier();
  std::vector<float> times(kRepeats);
  for (int i = 0; i < kRepeats; ++i) {
    CARACAL_CUDA_CHECK(
        cudaEventElapsedTime(&times[i], events[i], events[i + 1]));
  }
  std::sort(times.begin(), times.end());
  for (cudaEvent_t& e : events) cudaEventDestroy(e);
  return {times[kRepeats / 10], times[kRepeats / 2],
          times[kRepeats - 1 - kRepeats / 10]};
}

double SumOverRanks(Collective& control, double mine) {
  std::vector<double> all(control.size());
  CARACAL_CHECK_OK(control.AllGatherBytes(&mine, sizeof(mine), all.data()));
  double sum = 0;
  for (const double x : all) sum += x;
  return sum;
}

// Of one rank; `result` is that of all, and rank 0 writes it.
void RunRank(const Options& options, Collective& control, Result* result) {
  CARACAL_CUDA_CHECK(cudaSetDevice(control.rank()));
  Place place;
  place.tensor = options.tensor, place.data = options.data;
  (options.tensor > 1 ? place.tensor_rank : place.data_rank) = control.rank();
  const StepOptions& step = options.step;
  const int64_t piece =
      step.sequences * step.shape.length / step.chunks / options.tensor;
  Ranks ranks(
      place, options.exchange == "copies" ? Exchange::kCopies : Exchange::kNccl,
      &control, piece * step.shape.hidden * sizeof(uint16_t));
  Model model(options.step, ranks);
  Steps steps(model, ranks);
  const bool first = control.rank() == 0;
  if (first) result->gradient.assign(model.trained.full_size(), 0);
  // The model was made on another stream.
  CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
  CARACAL_CHECK_OK(control.Barrier());
  steps.Run();
  const double first_loss = SumOverRanks(control, model.Loss());
  if (options.check) model.trained.GradientTo(&result->gradient);
  bench::Times times = {};
  if (!options.check) {
    if (options.graph) steps.Record();
    times = Measure(steps, ranks);
  }
  const double last_loss = SumOverRanks(control, model.Loss());
  // The slower rank's.
  std::vector<bench::Times> all(control.size());
  CARACAL_CHECK_OK(control.AllGatherBytes(&times, sizeof(times), all.data()));
  if (first) {
    result->times = *std::max_element(
        all.begin(), all.end(),
        [](const auto& a, const auto& b) { return a.median < b.median; });
    result->first_loss = first_loss;
    result->last_loss = last_loss;
    size_t free = 0, total = 0;
    CARACAL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    result->gib = static_cast<double>(total - free) / (1 << 30);
    result->parameters = model.Parameters();
    for (size_t i = 1; i < model.trained.size(); ++i) {
      result->ends.push_back(model.trained.full_offset(i));
    }
    result->ends.push_back(model.trained.full_size());
  }
  CARACAL_CHECK_OK(control.Barrier());
}

Result RunOn(const Options& options) {
  Result result;
  RunAsRanks(options.ranks(),
             [&](Collective& control) { RunRank(options, control, &result); });
  if (options.check) return result;
  const StepOptions& step = options.step;
  const bench::Times& t = result.times;
  const double tokens =
      static_cast<double>(step.sequences) * step.shape.length * options.data;
  const double flop =
      (step.finetune ? 4 : 2) * result.parameters * tokens / options.ranks();
  std::printf(
      "%s %s, tensor %d, data %d, %s%s, %ld x %ld tokens: %.1f ms (%.1f - "
      "%.1f), "
      "%.0f tokens/s, MFU %.1f%% of 989 TFLOP/s, %.1f GiB\n",
      options.stage.c_str(), options.size.c_str(), options.tensor, options.data,
      options.ranks() > 1 ? options.exchange.c_str() : "alone",
      options.graph ? ", graph" : "",
      static_cast<long>(step.sequences * options.data),
      static_cast<long>(step.shape.length), t.median, t.low, t.high,
      tokens / t.median * 1e3, flop / t.median * 1e3 / 989e12 * 100,
      result.gib);
  std::printf("  loss of step 1: %.8g, of step %d: %.8g\n", result.first_loss,
              kWarmUp + kRepeats + 1, result.last_loss);
  std::fflush(stdout);
  return result;
}

// ||a - b|| / ||b|| of [begin, end).
double Distance(const std::vector<float>& a, const std::vector<float>& b,
                int64_t begin, int64_t end) {
  double difference = 0, size = 0;
  for (int64_t i = begin; i < end; ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    size += double{b[i]} * b[i];
  }
  return std::sqrt(difference / size);
}

// Prints by how much losses and gradients differ; false beyond bf16's noise:
// some 16 roundings in each layer that may fall out otherwise. A tensor with
// small gradients may be further off, but not as one in the wrong place is.
bool Compare(const Result& ours, const Result& one, int64_t layers) {
  const double loss = std::abs(ours.first_loss / one.first_loss - 1);
  const double all =
      Distance(ours.gradient, one.gradient, 0, ours.gradient.size());
  double worst = 0;
  int64_t begin = 0;
  for (const int64_t end : one.ends) {
    worst = std::max(worst, Distance(ours.gradient, one.gradient, begin, end));
    begin = end;
  }
  const double noise = testing::kBf16Rounding * std::sqrt(16.0 * layers);
  const bool close = loss < 1e-3 && all < noise && worst < 0.5;
  std::printf(
      "  loss %.8g, on one GPU %.8g: %.2e apart; gradients %.2e apart (at most "
      "%.2e), the worst tensor's %.2e%s\n",
      ours.first_loss, one.first_loss, loss, all, noise, worst,
      close ? "" : ": NOT EQUAL");
  std::fflush(stdout);
  return close;
}

int Usage(const char* program) {
  std::fprintf(stderr,
               "usage: %s transfer|finetune [8b|135m] [rows] [--tensor N | "
               "--data N] [--exchange WHAT] [--chunks N] [--multiprocessors N] "
               "[--graph] "
               "[--layers N] [--check] [--alone]\n",
               program);
  return 2;
}

int Main(int argc, char** argv) {
  Options options;
  std::vector<std::string> words;
  int chunks = 0;
  int64_t layers = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.rfind("--", 0) != 0) {
      words.push_back(word);
    } else if (word == "--graph") {
      options.graph = true;
    } else if (word == "--check") {
      options.check = true;
    } else if (word == "--alone") {
      options.alone = true;
    } else if (word == "--exchange") {
      options.exchange = i + 1 < argc ? argv[++i] : "";
    } else {
      const int value = i + 1 < argc ? std::atoi(argv[++i]) : 0;
      if (value < 1) return Usage(argv[0]);
      if (word == "--tensor") {
        options.tensor = value;
      } else if (word == "--data") {
        options.data = value;
      } else if (word == "--chunks" && value <= 2) {
        chunks = value;
      } else if (word == "--multiprocessors") {
        options.step.multiprocessors = value;
      } else if (word == "--layers") {
        layers = value;
      } else {
        return Usage(argv[0]);
      }
    }
  }
  if (!words.empty()) options.stage = words[0];
  if (words.size() > 1) options.size = words[1];
  if (words.size() > 2) options.step.sequences = std::atoll(words[2].c_str());
  options.step.finetune = options.stage == "finetune";
  if ((!options.step.finetune && options.stage != "transfer") ||
      (options.size != "8b" && options.size != "135m") ||
      (options.exchange != "nccl" && options.exchange != "copies") ||
      (options.exchange == "copies" && options.graph) ||
      options.step.sequences < 1 || (options.tensor > 1 && options.data > 1)) {
    return Usage(argv[0]);
  }
  options.step.shape = options.size == "8b"
                           ? Shape{4096, 32, 8, 128, 14336, 32, 128256}
                           : Shape{576, 9, 3, 64, 1536, 30, 49152};
  if (layers > 0) options.step.shape.layers = layers;

  Options one = options;
  one.tensor = one.data = 1;
  one.step.chunks = options.ranks() == 1 && chunks > 0 ? chunks : 1;
  one.step.multiprocessors = 0;
  if (options.check) one.step.sequences *= options.data;
  options.step.chunks = chunks > 0 ? chunks : options.tensor > 1 ? 2 : 1;
  if (!options.check) bench::PrintDevice();
  if (options.ranks() == 1) {
    RunOn(one);
    return 0;
  }
  const Result alone = options.alone ? Result() : RunOn(one);
  const Result all = RunOn(options);
  if (options.check)
    return Compare(all, alone, options.step.shape.layers) ? 0 : 1;
  if (!options.alone) {
    std::printf("  %.2f times one GPU\n",
                alone.times.median / all.times.median * options.data);
  }
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
