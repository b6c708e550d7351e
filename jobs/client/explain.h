// `caracal explain JOB`: what a job does, with every setting written out.
#ifndef CARACAL_JOBS_CLIENT_EXPLAIN_H_
#define CARACAL_JOBS_CLIENT_EXPLAIN_H_

#include <string>

#include "jobs/client/command.h"
#include "jobs/client/job_facts.h"
#include "proto/job.pb.h"

namespace caracal {

CommandBody DeclareExplain(CLI::App& app);

// The command's outputs. The job is expanded and valid.
std::string ExplainText(const proto::Job& job, const JobFacts& facts,
                        const Console& console);
// One JSON object: job (every field), fingerprint, model, data, stages, ranks.
std::string ExplainJson(const proto::Job& job, const JobFacts& facts);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_EXPLAIN_H_
