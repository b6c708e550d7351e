// One call of Jobs.Watch.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_WATCH_STREAM_H_
#define CARACAL_JOBS_COORDINATOR_RPC_WATCH_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>

#include "jobs/coordinator/rpc/event_hub.h"
#include "jobs/coordinator/rpc/stream_limit.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// Writes events as fast as the reader takes them. Belongs to gRPC; keeps
// `place` until it is done.
grpc::ServerWriteReactor<proto::JobEvent>* NewWatchStream(
    EventHub* hub, JobId job, uint64_t after, StreamLimit::Place place);

// A stream that ends with this error at once.
template <typename Response>
grpc::ServerWriteReactor<Response>* RefuseStream(const grpc::Status& status) {
  class Refusal : public grpc::ServerWriteReactor<Response> {
   public:
    explicit Refusal(const grpc::Status& status) { this->Finish(status); }
    void OnDone() override { delete this; }
  };
  return new Refusal(status);
}

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_WATCH_STREAM_H_
