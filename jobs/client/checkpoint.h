// `caracal checkpoint`: the checkpoints of a run.
#ifndef CARACAL_JOBS_CLIENT_CHECKPOINT_H_
#define CARACAL_JOBS_CLIENT_CHECKPOINT_H_

#include "jobs/client/command.h"

namespace caracal {

// `checkpoint list RUN`: step, layout, files and size of each.
CommandBody DeclareCheckpointList(CLI::App& app);

// `checkpoint verify RUN`: reads every file of every checkpoint and compares
// sizes and checksums with the manifest's. kDataLoss when one is damaged, after
// all were looked at; RUN may be one checkpoint's folder.
CommandBody DeclareCheckpointVerify(CLI::App& app);

// `checkpoint prune RUN --keep-last N`: removes all but the N newest and the
// best, and what crashes left behind.
CommandBody DeclareCheckpointPrune(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_CHECKPOINT_H_
