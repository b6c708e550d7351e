#include "jobs/client/service/event_reader.h"

#include "jobs/client/service/stream_retry.h"

namespace caracal {

absl::Status ReadEvents(
    const ServerOption& server, EventReaderOptions options,
    const std::function<bool(const proto::JobEvent&)>& event) {
  proto::WatchRequest request;
  request.set_job(options.job);
  request.set_after(options.after);
  return ReadStream<proto::JobEvent>(
      server, {.patience = options.patience, .away = options.away},
      [&](proto::Jobs::Stub& stub, grpc::ClientContext* context) {
        return stub.Watch(context, request);
      },
      [&](const proto::JobEvent& next) {
        request.set_after(next.sequence());
        return event(next);
      });
}

}  // namespace caracal
