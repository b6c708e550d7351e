#include "jobs/train/layer_split.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "core/base/clock.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/device/device.h"
#include "core/model/llama.h"
#include "core/model/ops/stream.h"

namespace caracal {
namespace {

// The first run, of which memory is taken, does not count.
constexpr int kRuns = 4;
constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kRounding = 1e-9;

// Rows of a micro-batch without a text.
struct EmptyRows {
  EmptyRows(int64_t sequences, int64_t seq_len)
      : offsets(sequences + 1),
        tokens(sequences * seq_len),
        positions(sequences * seq_len) {
    for (int64_t s = 0; s <= sequences; ++s) offsets[s] = s * seq_len;
    for (size_t i = 0; i < positions.size(); ++i) {
      positions[i] = static_cast<int32_t>(i % seq_len);
    }
    batch.sequences = sequences;
    batch.offsets = offsets.data();
    const auto n = static_cast<int64_t>(tokens.size());
    batch.tokens = TensorView(tokens.data(), {n});
    batch.positions = TensorView(positions.data(), {n});
  }
  std::vector<int64_t> offsets;
  std::vector<int32_t> tokens, positions;
  TokenBatch batch;
};

class LayerTimer {
 public:
  LayerTimer(const Execution& exec, const WeightSource& source, Shard shard,
             const StudentConfig& student, const TokenBatch& batch)
      : exec_(exec),
        source_(source),
        shard_(shard),
        student_(student),
        batch_(batch) {}

  absl::StatusOr<double> Seconds(int64_t index) {
    ASSIGN_OR_RETURN(
        const LlamaWeights weights,
        LlamaWeights::Load(exec_.host(), source_, shard_, WeightForm::kDense,
                           {.layers = IndexRange{index, index + 1},
                            .embedding = false,
                            .head = false},
                           {.device = exec_.device, .lora = &student_.lora}));
    Adapters adapters(weights.adapter_shape(), student_);
    adapters.Initialize(/*seed=*/0);
    if (exec_.device != nullptr) {
      RETURN_IF_ERROR(adapters.parameters().PlaceOn(exec_.device));
    }
    adapters.parameters().SetTrained({ParameterGroup::kFeatureMap,
                                      ParameterGroup::kFeatureBias,
                                      ParameterGroup::kWindowFactor});
    const Llama model(&weights, &adapters);
    ASSIGN_OR_RETURN(const Tensor x, RandomStreamRows(weights.config));
    double least = kNever;
    for (int run = 0; run < kRuns; ++run) {
      const absl::Duration start = Clock::Real()->Now();
      Run(model, x);
      RETURN_IF_ERROR(exec_.status);
      const double seconds =
          absl::ToDoubleSeconds(Clock::Real()->Now() - start);
      if (run > 0) least = std::min(least, seconds);
    }
    return least;
  }

 private:
  // What every run starts from.
  absl::StatusOr<Tensor> RandomStreamRows(const ModelConfig& config) {
    Tensor room;
    TensorView x;
    RETURN_IF_ERROR(PlaceStream(exec_, StreamRows(exec_, batch_.rows()).size(),
                                config.hidden_size, &room, &x));
    const RandomStream draw({.seed = 0,
                             .purpose = RandomPurpose::kFeatureMapInit,
                             .step = 0,
                             .sample = 0,
                             .layer = 0});
    const auto value = [&](int64_t i) { return 2 * draw.Uniform(i) - 1; };
    if (exec_.device == nullptr) {
      for (int64_t i = 0; i < x.size(); ++i) x.f32()[i] = value(i);
    } else {
      std::vector<uint16_t> halves(x.size());
      for (int64_t i = 0; i < x.size(); ++i) {
        halves[i] = Bf16FromFloat(value(i));
      }
      exec_.device->Upload(halves.data(), room.bytes(), x.data);
    }
    return room;
  }

  void Run(const Llama& model, const Tensor& start) {
    exec_.arena->Reset();
    Arena& arena =
        exec_.device == nullptr ? *exec_.arena : exec_.device_arena();
    const TensorView x =
        arena.Allocate(start.view().dtype, {start.dim(0), start.dim(1)});
    CopyStream(exec_, start, x);
    TransferKept kept;
    TransferSums sums;
    model.TransferTeacher(exec_, batch_, x, &kept);
    model.TransferStudents(exec_, batch_, {.output_scale = 1}, &kept, &sums);
  }

  Execution exec_;
  const WeightSource& source_;
  Shard shard_;
  const StudentConfig& student_;
  TokenBatch batch_;
};

// Of the layers over so many ranks.
double SmallestLargestShare(const std::vector<double>& costs, int ranks) {
  const size_t layers = costs.size();
  std::vector<double> best(layers + 1, kNever);  // of the layers from i on
  best[layers] = 0;
  for (int r = 1; r <= ranks; ++r) {
    std::vector<double> now(layers + 1, kNever);
    for (size_t i = 0; i < layers; ++i) {
      double share = 0;
      for (size_t end = i + 1; end <= layers; ++end) {
        share += costs[end - 1];
        now[i] = std::min(now[i], std::max(share, best[end]));
      }
    }
    best = now;
  }
  return best[0];
}

}  // namespace

std::vector<IndexRange> SplitLayers(const std::vector<double>& costs,
                                    int ranks) {
  const auto layers = static_cast<int>(costs.size());
  CARACAL_CHECK(ranks >= 1 && ranks <= layers)
      << layers << " layers, " << ranks << " ranks";
  const double most = SmallestLargestShare(costs, ranks);
  std::vector<double> before(layers + 1, 0);
  std::partial_sum(costs.begin(), costs.end(), before.begin() + 1);
  // The layers from i on over r ranks: the least sum of the shares' squares
  // without a larger share than there must be, and where the first one ends.
  struct Suffix {
    double squares = kNever;
    int end = 0;
  };
  std::vector<std::vector<Suffix>> best(ranks + 1,
                                        std::vector<Suffix>(layers + 1));
  best[0][layers].squares = 0;
  for (int r = 1; r <= ranks; ++r) {
    for (int i = 0; i < layers; ++i) {
      for (int end = i + 1; end <= layers; ++end) {
        const double share = before[end] - before[i];
        const double squares = share * share + best[r - 1][end].squares;
        // Equal but for rounding counts as equal.
        if (share <= most * (1 + kRounding) &&
            squares <= best[r][i].squares * (1 + kRounding)) {
          best[r][i] = {squares, end};
        }
      }
    }
  }
  std::vector<IndexRange> out;
  for (int r = ranks, begin = 0; r > 0; --r) {
    out.push_back({begin, best[r][begin].end});
    begin = best[r][begin].end;
  }
  return out;
}

absl::StatusOr<std::vector<double>> MeasureLayerCosts(
    const Execution& exec, const WeightSource& source, Shard shard,
    const StudentConfig& student, int64_t sequences, int64_t seq_len) {
  const int64_t layers = source.config().layers;
  const EmptyRows rows(sequences, seq_len);
  LayerTimer timer(exec, source, shard, student, rows.batch);
  // Of layers kept as softmax or not, that are the last or not.
  std::array<std::array<double, 2>, 2> seconds = {};
  std::vector<double> costs;
  for (int64_t i = 0; i < layers; ++i) {
    double& cost = seconds[student.IsSoftmaxLayer(i)][i + 1 == layers];
    if (cost == 0) {
      ASSIGN_OR_RETURN(cost, timer.Seconds(i));
    }
    costs.push_back(cost);
  }
  return costs;
}

}  // namespace caracal
