// Parts of an expanded job in words.
#ifndef CARACAL_JOBS_CLIENT_JOB_WORDS_H_
#define CARACAL_JOBS_CLIENT_JOB_WORDS_H_

#include <string>

#include "proto/job.pb.h"

namespace caracal {

// "swa_only"
std::string ModeName(proto::ComponentMode mode);

// "transfer", "finetune"
std::string StageName(const proto::Stage& stage);
// What happens in a stage, in one or two sentences.
std::string StageSummary(const proto::Stage& stage);
// "hybrid"; with a curriculum what it drops and when.
std::string StudentWords(const proto::Stage& stage);
// "1000 mse + 1 xent"
std::string LossWords(const proto::Stage& stage);
// "feature maps, window factors"
std::string TrainedWords(const proto::Job& job, const proto::Stage& stage);
// "0.01, times 0.1 after 10 validations without gain, at least 1e-05"
std::string LearningRateWords(const proto::Stage& stage);
// Empty without an early stop.
std::string EarlyStopWords(const proto::Stage& stage);

// "sliding window of 64, no sinks, hedgehog feature maps with 64 columns"
std::string AttentionWords(const proto::Job& job, int features);
// What evaluation says of the finished model, "hybrid, with gamma 0.5 in every
// head"; empty: it stays as the last stage leaves it.
std::string FinishedWords(const proto::Job& job);
std::string OptimizerWords(const proto::Job& job);
std::string ValidationWords(const proto::Job& job);
std::string CheckpointWords(const proto::Job& job);
std::string ReportWords(const proto::Job& job);
std::string DeviceWords(const proto::Job& job);
// What a coordinator would ask Slurm for; empty: nothing of its own.
std::string SlurmWords(const proto::Job& job);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_JOB_WORDS_H_
