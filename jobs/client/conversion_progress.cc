#include "jobs/client/conversion_progress.h"

#include <string>
#include <vector>

#include "core/base/clock.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

// Fine-tuning's backward through the frozen weights costs as much again, and
// the language-model head is part of it: what a step costs beside another
// stage's, near enough for a time estimate.
constexpr double kFinetuneCost = 2.3;

std::vector<ProgressStage> StagesOf(const proto::Job& job) {
  std::vector<ProgressStage> stages;
  for (const proto::Stage& stage : job.stages()) {
    stages.push_back({stage.has_transfer() ? "transfer" : "finetune",
                      StepsOf(stage),
                      stage.has_transfer() ? 1.0 : kFinetuneCost});
  }
  return stages;
}

}  // namespace

ConversionProgress::ConversionProgress(const proto::Job& job, Console* console)
    : console_(console), training_(console, StagesOf(job), Clock::Real()) {}

ConversionEvents ConversionProgress::events() {
  ConversionEvents events;
  events.note = [this](const std::string& line) { training_.Note(line); };
  events.step = [this](const StepRecord& r) {
    training_.Update({.stage = static_cast<int>(r.stage_index),
                      .step = r.step,
                      .loss = r.loss,
                      .validation_loss = r.validation_loss,
                      .tokens_per_s = r.tokens_per_s});
  };
  events.measured = [this](const std::string&, int done, int total) {
    if (!measuring_.has_value()) {
      training_.Finish();
      measuring_.emplace(console_,
                         std::vector<ProgressStage>{{"measuring", total, 1.0}},
                         Clock::Real());
    }
    ProgressUpdate update;
    update.step = done;
    measuring_->Update(update);
  };
  return events;
}

void ConversionProgress::Finish() {
  measuring_.reset();
  training_.Finish();
}

}  // namespace caracal
