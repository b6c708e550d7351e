// One call of Jobs.Logs.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_LOG_STREAM_H_
#define CARACAL_JOBS_COORDINATOR_RPC_LOG_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <string>

#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/stream_limit.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// The file that a gang's output goes to.
using LogFile = std::function<std::string(JobId job, uint64_t epoch)>;

// Sends what the job's gangs have printed, and with `follow` goes on until the
// job has ended. Has a thread of its own, since files are read; belongs to
// gRPC, and keeps `place` until it is done.
grpc::ServerWriteReactor<proto::LogsResponse>* NewLogStream(
    const proto::LogsRequest& request, const Coordinator* coordinator,
    LogFile file, StreamLimit::Place place);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_LOG_STREAM_H_
