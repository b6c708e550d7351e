// What each rank of a job's gang holds and sends, in words and numbers.
#ifndef CARACAL_JOBS_CLIENT_RANK_WORDS_H_
#define CARACAL_JOBS_CLIENT_RANK_WORDS_H_

#include <cstdint>
#include <string>

#include "core/io/model_config.h"
#include "jobs/client/console.h"
#include "nlohmann/json.hpp"
#include "proto/job.pb.h"

namespace caracal {

// Of an expanded job that asks for several ranks: the mesh, and each rank's
// rows. "" of one rank. A model that cannot be split so is told.
std::string RankWords(const proto::Job& job, const ModelConfig& model);

// For each stage: a line for each place in a model's copy with what a rank
// there holds and sends in a step, and how the numbers come about. Data ranks
// hold the same, and of what they send the most is told. "" of one rank, and of
// a model that cannot be split so. `seq_len`: tokens of a row.
std::string RankTables(const proto::Job& job, const ModelConfig& model,
                       int64_t seq_len, const Console& console);

// The same of every rank, and exactly: an object a stage.
nlohmann::ordered_json RankJson(const proto::Job& job, const ModelConfig& model,
                                int64_t seq_len);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_RANK_WORDS_H_
