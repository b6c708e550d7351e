#include "jobs/plan/layouts.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "eval/report/numbers.h"
#include "jobs/plan/communication.h"

namespace caracal {
namespace {

std::vector<int> DivisorsOf(int64_t n) {
  std::vector<int> out;
  for (int d = 1; d <= n; ++d) {
    if (n % d == 0) out.push_back(d);
  }
  return out;
}

// With so many rows at a time.
absl::StatusOr<PlannedStage> Estimate(const Machine& machine,
                                      StageLayout layout,
                                      const RankPart& part) {
  PlannedStage out;
  out.layout = std::move(layout);
  const MeshPlace first;  // has most heads, layers, and the embedding
  out.memory = EstimateMemory(out.layout, part, first);
  out.sent = StepTraffic(out.layout, part, first);
  out.time = EstimateTime(machine, out.layout, part, first, out.sent);
  out.checkpoint_bytes = CheckpointBytes(out.layout, part, first);
  return out;
}

// Every data rank has as many rows.
absl::Status CheckShare(int64_t batch, int data_ranks) {
  if (batch % data_ranks == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "a batch of ", batch, " rows (budget.batch) cannot be shared out to ",
      data_ranks, " data ranks"));
}

std::string WantedMesh(const PlanRequest& request) {
  std::vector<std::string> fixed;
  const auto add = [&](const char* name, int value) {
    if (value > 0) fixed.push_back(absl::StrCat(name, " ", value));
  };
  add("data", request.data);
  add("tensor", request.tensor);
  add("layer", request.layer);
  return fixed.empty() ? ""
                       : absl::StrCat(" with ", absl::StrJoin(fixed, ", "));
}

// The meshes of so many GPUs that the job's rows and the model allow.
absl::StatusOr<std::vector<MeshShape>> MeshesOf(const proto::Job& job,
                                                bool transfer,
                                                const ModelConfig& model,
                                                const PlanRequest& request) {
  std::vector<MeshShape> meshes;
  std::string why;
  const int64_t batch = job.budget().batch();
  for (const int tensor : DivisorsOf(request.gpus)) {
    if (request.tensor > 0 && tensor != request.tensor) continue;
    const absl::StatusOr<HeadSplit> split =
        SplitHeads(model.heads, model.kv_heads, {0, tensor});
    if (!split.ok()) {
      if (why.empty()) why = std::string(split.status().message());
      continue;
    }
    for (const int layer : DivisorsOf(request.gpus / tensor)) {
      if (request.layer > 0 && transfer && layer != request.layer) continue;
      if (layer > 1 && (!transfer || layer > model.layers)) continue;
      const int data = request.gpus / tensor / layer;
      if (request.data > 0 && data != request.data) continue;
      if (const absl::Status shared = CheckShare(batch, data); !shared.ok()) {
        why = std::string(shared.message());
        continue;
      }
      meshes.push_back({.data = data, .tensor = tensor, .layer = layer});
    }
  }
  if (!meshes.empty()) return meshes;
  return absl::InvalidArgumentError(
      absl::StrCat(transfer ? "transfer" : "finetune", ": no layout of ",
                   request.gpus, request.gpus == 1 ? " GPU" : " GPUs",
                   WantedMesh(request), why.empty() ? "" : ": ", why));
}

std::string Words(const MemoryEstimate& memory) {
  std::vector<std::string> parts;
  for (const auto& [name, bytes] : PartsOf(memory)) {
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    parts.push_back(absl::StrCat(words, " ", Bytes(bytes)));
  }
  return absl::StrJoin(parts, ", ");
}

std::pair<std::string, double> LimitOf(const TimeEstimate& time) {
  std::pair<std::string, double> most = {"", 0};
  for (const auto& part : PartsOf(time)) {
    if (part.second > most.second) most = part;
  }
  return most;
}

}  // namespace

std::vector<std::pair<std::string, uint64_t>> PartsOf(const MemoryEstimate& m) {
  std::vector<std::pair<std::string, uint64_t>> out;
  for (const auto& [name, bytes] :
       {std::pair<const char*, uint64_t>("layer_weights", m.layer_weights),
        {"vocabulary_weights", m.vocabulary_weights},
        {"trained", m.trained},
        {"activations", m.activations},
        {"ahead", m.ahead},
        {"scratch", m.scratch},
        {"runtime", m.runtime}}) {
    if (bytes > 0) out.emplace_back(name, bytes);
  }
  return out;
}

std::vector<std::pair<std::string, double>> PartsOf(const TimeEstimate& t) {
  std::vector<std::pair<std::string, double>> out;
  for (const auto& [name, seconds] :
       {std::pair<const char*, double>("products", t.products),
        {"attention", t.attention},
        {"rest", t.rest},
        {"loss", t.loss},
        {"optimizer", t.optimizer},
        {"tensor", t.tensor},
        {"data", t.data},
        {"layer", t.layer},
        {"world", t.world}}) {
    if (seconds > 0) out.emplace_back(name, seconds);
  }
  return out;
}

absl::StatusOr<PlannedStage> PlanOnMesh(const proto::Job& job, int stage,
                                        const ModelConfig& model,
                                        const PlanRequest& request,
                                        const MeshShape& mesh) {
  RETURN_IF_ERROR(CheckShare(job.budget().batch(), mesh.data));
  ASSIGN_OR_RETURN(StageLayout layout,
                   LayOut(job, stage, model, request.seq_len, mesh));
  layout.on_gpus = true;
  layout.value_bytes = 2;  // bf16
  ASSIGN_OR_RETURN(const RankPart part, PartOf(layout, {}));
  const int64_t mine = layout.rows / mesh.data;
  // The most rows at a time that fit; where none do, the fewest.
  std::vector<int> sizes = {static_cast<int>(request.micro_rows)};
  if (request.micro_rows == 0) sizes = DivisorsOf(mine);
  if (mine % sizes[0] != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("budget.micro_batch ", sizes[0], " does not divide the ",
                     mine, " rows of a data rank"));
  }
  std::reverse(sizes.begin(), sizes.end());
  for (const int size : sizes) {
    layout.micro_rows = size;
    if (size != sizes.back() && EstimateMemory(layout, part, {}).total() >
                                    request.machine.usable_bytes()) {
      continue;
    }
    return Estimate(request.machine, layout, part);
  }
  return absl::InternalError("no size of a micro-batch");
}

double PlannedStage::tokens_per_s() const {
  return static_cast<double>(layout.rows * layout.seq_len) / time.total();
}

std::string PlannedStage::limit() const { return LimitOf(time).first; }

double PlannedStage::limit_share() const {
  return LimitOf(time).second / time.total();
}

absl::StatusOr<std::vector<PlannedStage>> PlanStage(
    const proto::Job& job, int stage, const ModelConfig& model,
    const PlanRequest& request) {
  const bool transfer = job.stages(stage).has_transfer();
  ASSIGN_OR_RETURN(const std::vector<MeshShape> meshes,
                   MeshesOf(job, transfer, model, request));
  std::vector<PlannedStage> fit;
  std::optional<PlannedStage> smallest;
  absl::Status refused;
  for (const MeshShape& mesh : meshes) {
    absl::StatusOr<PlannedStage> planned =
        PlanOnMesh(job, stage, model, request, mesh);
    if (!planned.ok()) {
      refused = planned.status();
      continue;
    }
    if (!smallest.has_value() ||
        planned->memory.total() < smallest->memory.total()) {
      smallest = *planned;
    }
    if (planned->memory.total() <= request.machine.usable_bytes()) {
      fit.push_back(*std::move(planned));
    }
  }
  if (!smallest.has_value()) return refused;
  if (fit.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        transfer ? "transfer" : "finetune", ": no layout of ", request.gpus,
        request.gpus == 1 ? " GPU" : " GPUs", WantedMesh(request), " fits in ",
        Bytes(request.machine.usable_bytes()), " (95% of ",
        Bytes(request.machine.memory_bytes), "); the smallest, ",
        FormatMesh(smallest->layout.mesh), " with ",
        smallest->layout.micro_rows,
        smallest->layout.micro_rows == 1 ? " row" : " rows",
        " at a time, takes ", Bytes(smallest->memory.total()), ": ",
        Words(smallest->memory)));
  }
  std::stable_sort(fit.begin(), fit.end(),
                   [](const PlannedStage& a, const PlannedStage& b) {
                     return a.time.total() < b.time.total();
                   });
  return fit;
}

}  // namespace caracal
