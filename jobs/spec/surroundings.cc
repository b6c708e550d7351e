#include "jobs/spec/surroundings.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/model/shard.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/check_stages.h"
#include "jobs/spec/window_kind.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

// The narrowest window of a stage's schedule.
int64_t NarrowestWindow(const proto::Job& job, const proto::Stage& stage) {
  const proto::Curriculum& curriculum = stage.finetune().curriculum();
  if (!curriculum.has_window()) return job.attention().window();
  const proto::ValueSchedule& w = curriculum.window();
  std::vector<double> ends(w.step().begin(), w.step().end());
  if (w.has_constant()) ends.push_back(w.constant());
  for (const auto& [has, ramp] : {std::pair(w.has_linear(), w.linear()),
                                  std::pair(w.has_cosine(), w.cosine())}) {
    if (has) ends.insert(ends.end(), {ramp.from(), ramp.to()});
  }
  return std::llround(*std::min_element(ends.begin(), ends.end()));
}

class SurroundingsChecker {
 public:
  SurroundingsChecker(const proto::Job& job, const JobSurroundings& around,
                      std::vector<Problem>* problems)
      : job_(job),
        around_(around),
        problems_(*problems),
        tokens_(TrainedTokens(job, around)) {}

  void CheckAll() {
    CheckSoftmaxLayers(job_, around_.layers, &problems_);
    if (job_.parallel().layer() > around_.layers) {
      Refuse("parallel.layer",
             absl::StrCat("is ", job_.parallel().layer(),
                          ", but the model has ", around_.layers, " layers"));
    }
    CheckHeads("parallel.tensor", job_.parallel().tensor());
    CheckHeads("parallel.finetune.tensor", job_.parallel().finetune().tensor());
    if (!CheckRows()) return;
    CheckDocuments();
    CheckSinks();
    CheckBaselines();
    CheckProbes();
    for (int i = 0; i < job_.stages_size(); ++i) CheckStage(i);
  }

 private:
  void Refuse(const std::string& field, std::string message) {
    problems_.push_back({field, std::move(message), ""});
  }

  void CheckHeads(const char* field, int64_t ranks) {
    const absl::Status split =
        SplitHeads(
            around_.heads, around_.kv_heads,
            {.rank = 0, .size = static_cast<int>(std::max<int64_t>(1, ranks))})
            .status();
    if (!split.ok()) {
      Refuse(field, absl::StrCat("is ", ranks, ", but ", split.message()));
    }
  }

  // Whether rows are as long as they have to be.
  bool CheckRows() {
    const size_t before = problems_.size();
    const int64_t wanted = job_.data().seq_len();
    CheckRowsOf("data.path", job_.data().path(), around_.train);
    if (!around_.held_out.has_value()) return problems_.size() == before;
    CheckRowsOf("data.validation", job_.data().validation(), *around_.held_out);
    if (wanted == 0 && around_.held_out->tokens < tokens_) {
      Refuse("data.validation",
             absl::StrCat("its rows have ", around_.held_out->tokens,
                          " tokens, but those of data.path have ", tokens_,
                          ": set data.seq_len to what both have"));
    }
    return problems_.size() == before;
  }

  void CheckRowsOf(const std::string& field, const std::string& path,
                   const RowsShape& rows) {
    const int64_t wanted = job_.data().seq_len();
    if (wanted > rows.tokens) {
      Refuse("data.seq_len",
             absl::StrCat("is ", wanted, ", but the rows of ", path, " have ",
                          rows.tokens, " tokens"));
    } else if (wanted > around_.max_positions) {
      // Told once, of the training data.
      if (field != "data.path") return;
      Refuse("data.seq_len",
             absl::StrCat("is ", wanted, ", more than the model's context of ",
                          around_.max_positions, " tokens"));
    } else if (wanted == 0 && rows.tokens > around_.max_positions) {
      Refuse(field, absl::StrCat("the rows of ", path, " have ", rows.tokens,
                                 " tokens, more than the model's context of ",
                                 around_.max_positions, ": set data.seq_len"));
    }
  }

  void CheckDocuments() {
    if (!job_.attention().reset_at_document()) return;
    const auto check = [&](const std::string& path, const RowsShape& rows) {
      if (rows.documents) return;
      Refuse("attention.reset_at_document",
             absl::StrCat("is true, but ", path,
                          " does not say where documents begin"));
    };
    check(job_.data().path(), around_.train);
    if (around_.held_out.has_value()) {
      check(job_.data().validation(), *around_.held_out);
    }
  }

  void CheckSinks() {
    const int64_t sinks = job_.attention().sinks();
    if (sinks < tokens_) return;
    Refuse("attention.sinks",
           absl::StrCat("is ", sinks, ", but rows have ", tokens_,
                        " tokens: all of them would be sinks, and nothing be "
                        "left to window and linear part"));
  }

  void CheckBaselines() {
    if (job_.evaluation().rows() == 0) return;  // no report
    const auto& sinks = job_.evaluation().baseline_sinks();
    for (int i = 0; i < sinks.size(); ++i) {
      if (sinks[i] < tokens_) continue;
      Refuse(FieldAt("evaluation.baseline_sinks", i),
             absl::StrCat("is ", sinks[i], ", but rows have ", tokens_,
                          " tokens: all of them would be sinks"));
    }
  }

  void CheckProbes() {
    const auto& lengths = job_.evaluation().probe().lengths();
    for (int i = 0; i < lengths.size(); ++i) {
      if (lengths[i] <= around_.max_positions) continue;
      Refuse(FieldAt("evaluation.probe.lengths", i),
             absl::StrCat("is ", lengths[i], ", more than the model's context ",
                          "of ", around_.max_positions, " tokens"));
    }
  }

  void CheckStage(int index) {
    const proto::Stage& stage = job_.stages(index);
    if (!TakesSteps(stage)) return;
    const int64_t window = NarrowestWindow(job_, stage);
    if (!LinearPastEmpty(job_.attention(), window, tokens_)) return;
    const std::string path =
        JoinField(FieldAt("stages", index),
                  stage.has_transfer() ? "transfer" : "finetune");
    const auto refuse = [&](const char* field, const char* what) {
      Refuse(
          JoinField(path, field),
          absl::StrCat(what, " of keys outside window and sinks, but a ",
                       "window of ", window, " and ", job_.attention().sinks(),
                       " sinks cover rows of ", tokens_, " tokens"));
    };
    if (StudentModeOf(stage) == proto::LA_PAST) {
      refuse("student_mode", "LA_PAST is linear attention");
    }
    if (!stage.finetune().has_curriculum()) return;
    const proto::Curriculum& curriculum = stage.finetune().curriculum();
    if (curriculum.has_closed_loop()) {
      refuse("curriculum.closed_loop", "measures the use");
    }
    if ((curriculum.has_drop() || curriculum.has_closed_loop()) &&
        curriculum.drop_mode() == proto::LA_PAST) {
      refuse("curriculum.drop_mode", "LA_PAST is linear attention");
    }
  }

  const proto::Job& job_;
  const JobSurroundings& around_;
  std::vector<Problem>& problems_;
  const int64_t tokens_;
};

}  // namespace

int64_t TrainedTokens(const proto::Job& expanded,
                      const JobSurroundings& around) {
  const int64_t wanted = expanded.data().seq_len();
  return wanted > 0 ? wanted : around.train.tokens;
}

bool LinearPastEmpty(const proto::Attention& attention, int64_t window,
                     int64_t tokens) {
  kernels::HybridAttentionConfig config;
  config.window = window;
  config.sinks = attention.sinks();
  config.window_kind = WindowKindOf(attention);
  return LinearSetEmpty(config, tokens - 1, tokens);
}

void CheckSoftmaxLayers(const proto::Job& expanded, int64_t layers,
                        std::vector<Problem>* problems) {
  const auto& kept = expanded.attention().softmax_layers();
  const size_t before = problems->size();
  for (int i = 0; i < kept.size(); ++i) {
    if (kept[i] < layers) continue;
    problems->push_back(
        {FieldAt("attention.softmax_layers", i),
         absl::StrCat("is ", kept[i], ", the model has layers 0 to ",
                      layers - 1),
         ""});
  }
  if (problems->size() == before && kept.size() == layers) {
    problems->push_back({"attention.softmax_layers",
                         "names every layer; nothing is left to convert", ""});
  }
}

void CheckSurroundings(const proto::Job& expanded,
                       const JobSurroundings& around,
                       std::vector<Problem>* problems) {
  SurroundingsChecker(expanded, around, problems).CheckAll();
}

}  // namespace caracal
