// What each rank of a job's gang holds, in words.
#ifndef CARACAL_JOBS_CLIENT_RANK_WORDS_H_
#define CARACAL_JOBS_CLIENT_RANK_WORDS_H_

#include <string>

#include "core/io/model_config.h"
#include "proto/job.pb.h"

namespace caracal {

// Of an expanded job that asks for several ranks: the mesh, and a line for each
// tensor rank (data ranks hold the same). "" of one rank. A model that cannot
// be split so is told in the line of the first rank that shows it.
std::string RankWords(const proto::Job& job, const ModelConfig& model);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_RANK_WORDS_H_
