#include "jobs/client/service/event_reader.h"

#include "core/base/status.h"
#include "jobs/client/service/stream_retry.h"

namespace caracal {

absl::Status ReadEvents(
    const ServerOption& server, EventReaderOptions options,
    const std::function<bool(const proto::JobEvent&)>& event) {
  StreamRetry retry(options.patience, options.away);
  bool called = false;
  while (true) {
    // The address may be another one by now.
    const auto stub = server.Connect();
    if (!stub.ok() && !called) return stub.status();
    called = true;
    grpc::Status status(grpc::StatusCode::UNAVAILABLE, "");
    grpc::ClientContext context;
    if (stub.ok()) {
      proto::WatchRequest request;
      request.set_job(options.job);
      request.set_after(options.after);
      RETURN_IF_ERROR(server.AddToken(&context));
      const auto reader = (*stub)->Watch(&context, request);
      retry.Open(*reader, context);
      proto::JobEvent next;
      while (reader->Read(&next)) {
        retry.Heard();
        options.after = next.sequence();
        if (!event(next)) {
          context.TryCancel();
          reader->Finish();
          return absl::OkStatus();
        }
      }
      status = reader->Finish();
    }
    if (!retry.Wait(status, stub.ok() ? &context : nullptr)) {
      return server.Explain(status);
    }
  }
}

}  // namespace caracal
