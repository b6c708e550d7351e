#include "jobs/client/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/model/ops/make_cuda_ops.h"
#include "eval/report/numbers.h"
#include "jobs/client/fact_list.h"
#include "jobs/client/job_words.h"
#include "jobs/client/paper_job.h"
#include "jobs/client/table.h"
#include "jobs/plan/layouts.h"
#include "jobs/spec/layout.h"
#include "jobs/spec/support.h"
#include "jobs/train/student_config.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;
using Align = Table::Align;

constexpr int kNameColumns = 12;
constexpr double kMeasuredFeatures = 64;
constexpr double kAsGood = 1.03;  // times as long as the quickest

struct Options {
  std::string path;
  std::vector<std::string> overrides;
  std::string gpu = "h100";
  int gpus_per_node = 8;
  int show = 5;
  PlanRequest request;
  bool json = false;
};

// A stage's layouts, and the best with the rows at a time that all stages use.
struct StagePlan {
  int stage = 0;  // of the job
  std::string name;
  std::vector<PlannedStage> layouts;
  PlannedStage proposed;
  std::optional<PlannedStage> own;  // on the layout that the job asks for
};

std::string Milliseconds(double seconds) {
  return seconds < 1
             ? absl::StrFormat("%.*f ms", seconds < 0.1 ? 1 : 0, seconds * 1000)
             : absl::StrFormat("%.2f s", seconds);
}

std::string Words(std::string name) {
  return absl::StrReplaceAll(name, {{"_", " "}});
}

std::string Rows(int64_t rows) {
  return absl::StrCat(rows, rows == 1 ? " row" : " rows");
}

std::string MemoryWords(const MemoryEstimate& memory) {
  std::vector<std::string> parts;
  for (const auto& [name, bytes] : PartsOf(memory)) {
    parts.push_back(absl::StrCat(Words(name), " ", Bytes(bytes)));
  }
  return absl::StrCat(Bytes(memory.total()), ": ", absl::StrJoin(parts, ", "));
}

std::string TimeWords(const TimeEstimate& time) {
  std::vector<std::string> parts;
  for (const auto& [name, seconds] : PartsOf(time)) {
    if (seconds / time.total() < 0.0005) continue;
    parts.push_back(absl::StrCat(name, " ", Percent(seconds / time.total())));
  }
  std::string words = absl::StrCat(Milliseconds(time.total()), ": ",
                                   absl::StrJoin(parts, ", "));
  if (time.start > 0) {
    absl::StrAppend(&words, "; once ", Milliseconds(time.start),
                    " until the chain is filled");
  }
  return words;
}

std::string SentWords(const GangTraffic& sent) {
  std::vector<std::string> parts;
  for (const auto& [name, bytes] :
       {std::pair<const char*, uint64_t>("tensor", sent.tensor),
        {"data", sent.data},
        {"layer", sent.layer},
        {"world", sent.world}}) {
    if (bytes > 0) parts.push_back(absl::StrCat(name, " ", Bytes(bytes)));
  }
  return absl::StrJoin(parts, ", ");
}

// As job files have it, for both kinds of stages.
std::string ProposalText(const std::vector<StagePlan>& plans) {
  const MeshShape* transfer = nullptr;
  const MeshShape* finetune = nullptr;
  for (const StagePlan& plan : plans) {
    const StageLayout& layout = plan.proposed.layout;
    (layout.transfer ? transfer : finetune) = &layout.mesh;
  }
  const MeshShape& first = transfer != nullptr ? *transfer : *finetune;
  std::string text =
      absl::StrCat("parallel { data: ", first.data, " tensor: ", first.tensor,
                   " layer: ", first.layer);
  if (transfer != nullptr && finetune != nullptr &&
      (finetune->tensor != first.tensor ||
       finetune->data != first.data * first.layer)) {
    absl::StrAppend(&text, " finetune { data: ", finetune->data,
                    " tensor: ", finetune->tensor, " }");
  }
  return absl::StrCat(text, " }\nbudget { micro_batch: ",
                      plans[0].proposed.layout.micro_rows, " }");
}

// What the estimate does not know.
std::vector<std::string> Notes(const PaperJob& paper) {
  std::vector<std::string> notes;
  const int64_t features = paper.job.attention().features() > 0
                               ? paper.job.attention().features()
                               : paper.model.head_dim;
  if (static_cast<double>(features) > kMeasuredFeatures) {
    notes.push_back(
        absl::StrCat("attention with ", features,
                     " features was not measured: its time is that of ",
                     kMeasuredFeatures, ", in proportion"));
  }
  return notes;
}

// What becomes of the job as it stands.
std::string OwnLayoutText(const StagePlan& plan, const Machine& machine,
                          const Console& console) {
  if (!plan.own.has_value()) return "";
  const PlannedStage& own = *plan.own;
  std::string words =
      absl::StrCat("the job's own, ", FormatMesh(own.layout.mesh), " with ",
                   Rows(own.layout.micro_rows), " at a time");
  if (own.memory.total() > machine.usable_bytes()) {
    absl::StrAppend(&words, ", does not fit: it takes ",
                    Bytes(own.memory.total()));
  } else {
    absl::StrAppend(&words, ": ", Bytes(own.memory.total()), ", ",
                    Milliseconds(own.time.total()), ", ",
                    Count(static_cast<int64_t>(own.tokens_per_s())),
                    " tokens/s");
  }
  return Paragraph(words, console, 2);
}

std::string PlanText(const PaperJob& paper, const Options& options,
                     const std::vector<StagePlan>& plans,
                     const Console& console) {
  const Machine& machine = options.request.machine;
  std::string out =
      absl::StrCat(Styled(paper.job.name(), Style::kBold, console.StyledOut()),
                   " on ", Count(options.request.gpus), " ", machine.name,
                   options.request.gpus == 1 ? " GPU of " : " GPUs of ",
                   Bytes(machine.memory_bytes), ", ", machine.gpus_per_node,
                   " to a node\n", Count(paper.job.budget().batch()),
                   " rows of ", Count(paper.seq_len), " tokens a step\n");
  for (const StagePlan& plan : plans) {
    absl::StrAppend(&out, "\n",
                    Styled(plan.name, Style::kBold, console.StyledOut()), "\n");
    Table table({{"data", Align::kRight},
                 {"layer", Align::kRight},
                 {"tensor", Align::kRight},
                 {"rows", Align::kRight},
                 {"memory", Align::kRight},
                 {"time", Align::kRight},
                 {"tokens/s", Align::kRight},
                 {"most of it"}});
    const size_t shown = std::min<size_t>(options.show, plan.layouts.size());
    for (size_t i = 0; i < shown; ++i) {
      const PlannedStage& p = plan.layouts[i];
      const MeshShape& mesh = p.layout.mesh;
      table.AddRow({absl::StrCat(mesh.data), absl::StrCat(mesh.layer),
                    absl::StrCat(mesh.tensor), Count(p.layout.micro_rows),
                    Bytes(p.memory.total()), Milliseconds(p.time.total()),
                    Count(static_cast<int64_t>(p.tokens_per_s())),
                    absl::StrCat(p.limit(), " ", Percent(p.limit_share()))});
    }
    absl::StrAppend(&out, table.ToString(console, 2));
    if (shown < plan.layouts.size()) {
      const size_t more = plan.layouts.size() - shown;
      absl::StrAppend(
          &out, "  and ", more,
          more == 1 ? " slower one that fits" : " slower ones that fit", "\n");
    }
    absl::StrAppend(&out, OwnLayoutText(plan, machine, console));
  }
  absl::StrAppend(&out, "\n",
                  Styled("Proposed", Style::kBold, console.StyledOut()), "\n");
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(ProposalText(plans), '\n'))) {
    absl::StrAppend(&out, "  ", line, "\n");
  }
  for (const StagePlan& plan : plans) {
    const PlannedStage& p = plan.proposed;
    FactList list;
    list.Add("time", TimeWords(p.time));
    list.Add("memory", MemoryWords(p.memory));
    list.Add("sent", SentWords(p.sent));
    list.Add("checkpoint", absl::StrCat(Bytes(p.checkpoint_bytes), " a rank"));
    absl::StrAppend(
        &out, "\n  ", plan.name, ", ", Rows(p.layout.micro_rows),
        " at a time: ", Count(static_cast<int64_t>(p.tokens_per_s())),
        " tokens/s\n", list.ToString(console, 4, kNameColumns));
  }
  for (const std::string& note : Notes(paper)) {
    absl::StrAppend(&out, "\n",
                    Paragraph(absl::StrCat("note: ", note), console, 0));
  }
  absl::StrAppend(
      &out, "\n",
      Paragraph("On paper, per rank and step: kernels at rates measured on one "
                "GPU, links at a share of their nominal rates "
                "(docs/scaling.md).",
                console, 0));
  return out;
}

Json LayoutJson(const PlannedStage& p) {
  const MeshShape& mesh = p.layout.mesh;
  Json out;
  out["data"] = mesh.data;
  out["layer"] = mesh.layer;
  out["tensor"] = mesh.tensor;
  out["micro_batch"] = p.layout.micro_rows;
  out["memory_bytes"] = p.memory.total();
  for (const auto& [name, bytes] : PartsOf(p.memory)) {
    out["memory"][name] = bytes;
  }
  out["seconds"] = p.time.total();
  for (const auto& [name, seconds] : PartsOf(p.time)) {
    out["time"][name] = seconds;
  }
  out["start_seconds"] = p.time.start;
  out["tokens_per_s"] = p.tokens_per_s();
  out["sent_bytes"] = {{"tensor", p.sent.tensor},
                       {"data", p.sent.data},
                       {"layer", p.sent.layer},
                       {"world", p.sent.world}};
  out["checkpoint_bytes"] = p.checkpoint_bytes;
  return out;
}

std::string PlanJson(const PaperJob& paper, const Options& options,
                     const std::vector<StagePlan>& plans) {
  const Machine& machine = options.request.machine;
  Json out;
  out["job"] = paper.job.name();
  out["gpu"] = machine.name;
  out["gpus"] = options.request.gpus;
  out["gpus_per_node"] = machine.gpus_per_node;
  out["batch"] = paper.job.budget().batch();
  out["seq_len"] = paper.seq_len;
  out["machine"] = {{"memory_bytes", machine.memory_bytes},
                    {"matrix_flops", machine.matrix_flops},
                    {"memory_bytes_per_s", machine.memory_bytes_per_s},
                    {"node_bytes_per_s", machine.node_bytes_per_s},
                    {"network_bytes_per_s", machine.network_bytes_per_s}};
  out["proposal"] = ProposalText(plans);
  out["stages"] = Json::array();
  for (const StagePlan& plan : plans) {
    Json stage;
    stage["stage"] = plan.name;
    stage["proposed"] = LayoutJson(plan.proposed);
    stage["own"] = plan.own.has_value() ? LayoutJson(*plan.own) : Json();
    stage["layouts"] = Json::array();
    for (const PlannedStage& p : plan.layouts) {
      stage["layouts"].push_back(LayoutJson(p));
    }
    out["stages"].push_back(std::move(stage));
  }
  out["notes"] = Notes(paper);
  return out.dump(1);
}

// Of layouts as good as equal on paper the one with most copies of the model:
// short chains and small tensor groups wait for less that a plan leaves out.
const PlannedStage& SimplestOf(const std::vector<PlannedStage>& plans) {
  const PlannedStage* simplest = &plans.front();
  for (const PlannedStage& plan : plans) {
    if (plan.time.total() > kAsGood * plans.front().time.total()) break;
    if (plan.layout.mesh.data > simplest->layout.mesh.data) simplest = &plan;
  }
  return *simplest;
}

// A job says once how many rows a rank runs at a time: as many as make the
// whole job quickest.
absl::Status Propose(const PaperJob& paper, const PlanRequest& request,
                     std::vector<StagePlan>* plans) {
  double best = std::numeric_limits<double>::infinity();
  absl::Status refused;
  for (int64_t rows = 1; rows <= paper.job.budget().batch(); ++rows) {
    if (paper.job.budget().batch() % rows != 0) continue;
    if (request.micro_rows > 0 && rows != request.micro_rows) continue;
    PlanRequest fixed = request;
    fixed.micro_rows = rows;
    std::vector<PlannedStage> stages;
    double seconds = 0;
    for (const StagePlan& plan : *plans) {
      absl::StatusOr<std::vector<PlannedStage>> one =
          PlanStage(paper.job, plan.stage, paper.model, fixed);
      if (!one.ok()) {
        refused = one.status();
        break;
      }
      seconds += static_cast<double>(StepsOf(paper.job.stages(plan.stage))) *
                 one->front().time.total();
      stages.push_back(SimplestOf(*one));
    }
    if (stages.size() < plans->size() || seconds >= best) continue;
    best = seconds;
    for (size_t i = 0; i < stages.size(); ++i) {
      (*plans)[i].proposed = std::move(stages[i]);
    }
  }
  return std::isfinite(best) ? absl::OkStatus() : refused;
}

// Whether the GPU runs what takes steps.
absl::Status CheckRuns(const PaperJob& paper, const std::string& path,
                       const Machine& machine) {
  proto::Job job = paper.job;
  bool any = false;
  for (proto::Stage& stage : *job.mutable_stages()) {
    if (StepsOf(stage) > 0) {
      any = true;
    } else {
      stage.Clear();
    }
  }
  if (!any) return absl::OkStatus();
  std::vector<Problem> problems =
      CudaProblems(job, paper.model.head_dim, machine.block_bytes);
  if (const absl::Status runs = CheckCudaModel(paper.model); !runs.ok()) {
    problems = {{"model.path", std::string(runs.message()), ""}};
  }
  if (problems.empty()) return absl::OkStatus();
  Problem& first = problems[0];
  if (first.field == "model.path") {
    first.message = absl::StrCat(job.model().path(), ": ", first.message);
  }
  first.where = path;
  return absl::UnimplementedError(first.ToString());
}

absl::Status Plan(Options options, Console& console) {
  ASSIGN_OR_RETURN(const PaperJob paper,
                   LoadPaperJob(options.path, options.overrides));
  PlanRequest& request = options.request;
  ASSIGN_OR_RETURN(request.machine, MachineOf(options.gpu));
  RETURN_IF_ERROR(CheckRuns(paper, options.path, request.machine));
  request.machine.gpus_per_node = options.gpus_per_node;
  request.seq_len = paper.seq_len;
  request.micro_rows = paper.micro_rows;
  proto::Job laid_out;
  if (paper.parallel.has_value()) {
    *laid_out.mutable_parallel() = *paper.parallel;
  }
  std::vector<StagePlan> plans;
  for (int i = 0; i < paper.job.stages_size(); ++i) {
    if (StepsOf(paper.job.stages(i)) == 0) continue;  // skipped
    StagePlan plan;
    plan.stage = i;
    plan.name =
        absl::StrCat("Stage ", i + 1, ": ", StageName(paper.job.stages(i)));
    ASSIGN_OR_RETURN(plan.layouts,
                     PlanStage(paper.job, i, paper.model, request));
    if (laid_out.has_parallel() &&
        TransferLayout(laid_out).ranks() == request.gpus) {
      ASSIGN_OR_RETURN(plan.own,
                       PlanOnMesh(paper.job, i, paper.model, request,
                                  LayoutOf(laid_out, paper.job.stages(i))));
    }
    plans.push_back(std::move(plan));
  }
  if (plans.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.path, ": no stage takes a step"));
  }
  RETURN_IF_ERROR(Propose(paper, request, &plans));
  console.out << (options.json ? PlanJson(paper, options, plans) + "\n"
                               : PlanText(paper, options, plans, console));
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclarePlan(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("JOB", options->path, "job file, text format or JSON")
      ->type_name("FILE")
      ->required();
  app.add_option("--set", options->overrides,
                 "change a field, as in budget.batch=64; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  const auto number = [&](const char* name, int* value, const char* help) {
    return app.add_option(name, *value, help)->check(CLI::Range(1, 1 << 16));
  };
  number("--gpus", &options->request.gpus, "GPUs, a rank each")->required();
  app.add_option("--gpu", options->gpu, "h100 or h200")->capture_default_str();
  number("--gpus-per-node", &options->gpus_per_node,
         "GPUs that NVLink joins; a network beyond")
      ->capture_default_str();
  number("--data", &options->request.data, "only layouts with so many copies");
  number("--tensor", &options->request.tensor,
         "only layouts with so many ranks to a layer");
  number("--layer", &options->request.layer,
         "only layouts with so many ranks to a chain of layers, in transfer");
  number("--show", &options->show, "layouts of a stage to show")
      ->capture_default_str();
  app.add_flag("--json", options->json, "print one JSON object");
  return [options](Console& console) { return Plan(*options, console); };
}

}  // namespace caracal
