// One call of Jobs.Watch.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_WATCH_STREAM_H_
#define CARACAL_JOBS_COORDINATOR_RPC_WATCH_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>

#include "jobs/coordinator/rpc/event_hub.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// The most streams at a time. A guard is one of them while it lives.
class StreamLimit {
 public:
  explicit StreamLimit(int most) : most_(most) {}
  bool Enter() {
    if (++open_ <= most_) return true;
    --open_;
    return false;
  }
  void Leave() { --open_; }

 private:
  const int most_;
  std::atomic<int> open_{0};
};

// Writes events as fast as the reader takes them. Belongs to gRPC. `limit` was
// entered for it.
grpc::ServerWriteReactor<proto::JobEvent>* NewWatchStream(EventHub* hub,
                                                          JobId job,
                                                          uint64_t after,
                                                          StreamLimit* limit);

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
