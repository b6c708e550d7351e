#include "jobs/client/explain.h"

#include <google/protobuf/util/json_util.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "eval/report/numbers.h"
#include "jobs/client/fact_list.h"
#include "jobs/client/job_option.h"
#include "jobs/client/job_words.h"
#include "jobs/client/model_words.h"
#include "jobs/client/rank_words.h"
#include "jobs/spec/fingerprint.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

constexpr int kNameColumns = 15;

// "0.10 passes over the data"
std::string PassWords(double passes) {
  return absl::StrFormat(passes < 0.095 ? "%.1g passes over the data"
                                        : "%.2f passes over the data",
                         passes);
}

// "8 rows, 4 at a time: 4,096 tokens"
std::string StepWords(const proto::Job& job, const JobFacts& facts) {
  const int batch = job.budget().batch(), micro = job.budget().micro_batch();
  std::string words = absl::StrCat(Count(batch), batch == 1 ? " row" : " rows");
  if (micro != batch) absl::StrAppend(&words, ", ", micro, " at a time");
  return absl::StrCat(words, ": ", Count(facts.step_tokens), " tokens");
}

int FeaturesOf(const proto::Job& job, const JobFacts& facts) {
  return job.attention().has_features()
             ? job.attention().features()
             : static_cast<int>(facts.model.head_dim);
}

std::string StageText(const proto::Job& job, int index, const JobFacts& facts,
                      const Console& console) {
  const proto::Stage& stage = job.stages(index);
  const StageFacts& size = facts.stages[index];
  std::string out = absl::StrCat(
      "\n",
      Styled(
          absl::StrCat("Stage ", index + 1, ": ", StageName(stage), ", ",
                       Count(size.steps), size.steps == 1 ? " step" : " steps"),
          Style::kBold, console.StyledOut()),
      "\n", Paragraph(StageSummary(stage), console, 2));
  FactList list;
  list.Add("student", StudentWords(stage));
  list.Add("loss", LossWords(stage));
  list.Add("trains",
           absl::StrCat(TrainedWords(job, stage), ": ",
                        Count(size.trained_parameters), " parameters"));
  list.Add("learning rate", LearningRateWords(stage));
  list.Add("stops early", EarlyStopWords(stage));
  list.Add("tokens",
           absl::StrCat(Count(size.tokens), ", ", PassWords(size.passes)));
  return out + list.ToString(console, 2, kNameColumns);
}

struct ExplainOptions {
  JobOption job;
  bool json = false;
};

absl::Status Explain(const ExplainOptions& options, Console& console) {
  ASSIGN_OR_RETURN(const proto::Job job, options.job.Load());
  ASSIGN_OR_RETURN(const JobFacts facts, GatherJobFacts(job));
  console.out << (options.json ? ExplainJson(job, facts) + "\n"
                               : ExplainText(job, facts, console));
  return absl::OkStatus();
}

}  // namespace

std::string ExplainText(const proto::Job& job, const JobFacts& facts,
                        const Console& console) {
  std::string out =
      absl::StrCat(Styled(job.name(), Style::kBold, console.StyledOut()), ": ",
                   job.expanded_from().empty()
                       ? std::string("stages as written")
                       : absl::StrCat("preset ", job.expanded_from()),
                   "\n");
  FactList list;
  list.Add("model",
           absl::StrCat(job.model().path(), "\n", ModelWords(facts.model)));
  list.Add("data", absl::StrCat(job.data().path(), "\n", Count(facts.rows),
                                " rows of ", Count(facts.row_tokens), " tokens",
                                job.data().shuffle() ? ", shuffled" : "",
                                job.data().restart_each_stage()
                                    ? ", from the first at each stage"
                                    : ""));
  if (facts.validation_rows > 0) {
    list.Add("held out", absl::StrCat(job.data().validation(), "\n",
                                      Count(facts.validation_rows), " rows"));
  }
  list.Add("attention", AttentionWords(job, FeaturesOf(job, facts)));
  list.Add("step", StepWords(job, facts));
  list.Add("ranks", RankWords(job, facts.model));
  list.Add("optimizer", OptimizerWords(job));
  list.Add("validation", ValidationWords(job));
  list.Add("checkpoint", CheckpointWords(job));
  list.Add("finished as", FinishedWords(job));
  list.Add("report", ReportWords(job));
  list.Add("device", DeviceWords(job));
  list.Add("Slurm", SlurmWords(job));
  list.Add("seed", absl::StrCat(job.seed()));
  out += list.ToString(console, 2, kNameColumns);
  for (int i = 0; i < job.stages_size(); ++i) {
    out += StageText(job, i, facts, console);
  }
  out += RankTables(job, facts.model, facts.row_tokens, console);
  FactList total;
  total.Add("tokens", Count(facts.tokens));
  total.Add("memory",
            absl::StrCat(Bytes(facts.weight_bytes), " weights, ",
                         Bytes(facts.training_bytes),
                         " trained parameters with gradients and moments; "
                         "activations on top"));
  total.Add("fingerprint", JobFingerprint(job));
  for (const std::string& warning : facts.warnings) {
    absl::StrAppend(
        &out, "\n",
        Styled(Paragraph(absl::StrCat("warning: ", warning), console, 0),
               Style::kWarning, console.StyledOut()));
  }
  absl::StrAppend(&out, "\n",
                  Styled("In all", Style::kBold, console.StyledOut()), "\n",
                  total.ToString(console, 2, kNameColumns));
  return out;
}

std::string ExplainJson(const proto::Job& job, const JobFacts& facts) {
  using Json = nlohmann::ordered_json;
  google::protobuf::util::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  std::string text;
  CARACAL_CHECK(
      google::protobuf::util::MessageToJsonString(job, &text, print).ok());
  Json out;
  out["job"] = Json::parse(text);
  out["fingerprint"] = JobFingerprint(job);
  out["model"] = ModelJson(facts.model);
  out["data"] = {{"rows", facts.rows},
                 {"row_tokens", facts.row_tokens},
                 {"validation_rows", facts.validation_rows}};
  out["features"] = FeaturesOf(job, facts);
  out["step_tokens"] = facts.step_tokens;
  out["tokens"] = facts.tokens;
  out["weight_bytes"] = facts.weight_bytes;
  out["training_bytes"] = facts.training_bytes;
  out["stages"] = Json::array();
  for (int i = 0; i < job.stages_size(); ++i) {
    const StageFacts& size = facts.stages[i];
    out["stages"].push_back({{"stage", StageName(job.stages(i))},
                             {"steps", size.steps},
                             {"tokens", size.tokens},
                             {"passes", size.passes},
                             {"trained_parameters", size.trained_parameters}});
  }
  out["ranks"] = RankJson(job, facts.model, facts.row_tokens);
  out["warnings"] = facts.warnings;
  return out.dump(1);
}

CommandBody DeclareExplain(CLI::App& app) {
  auto options = std::make_shared<ExplainOptions>();
  options->job.Declare(app);
  app.add_flag("--json", options->json, "print one JSON object");
  return [options](Console& console) { return Explain(*options, console); };
}

}  // namespace caracal
