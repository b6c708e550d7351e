#include "jobs/client/service/event_reader.h"

#include <utility>

#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr absl::Duration kTryAgain = absl::Milliseconds(200);

}  // namespace

absl::Status ReadEvents(
    const ServerOption& server, EventReaderOptions options,
    const std::function<bool(const proto::JobEvent&)>& event) {
  Clock* const clock = Clock::Real();
  bool away = false, heard = false;
  absl::Duration since;
  while (true) {
    // The address may be another one by now.
    const auto stub = server.Connect();
    if (!stub.ok() && !heard) return stub.status();
    grpc::Status status(grpc::StatusCode::UNAVAILABLE, "");
    if (stub.ok()) {
      proto::WatchRequest request;
      request.set_job(options.job);
      request.set_after(options.after);
      grpc::ClientContext context;
      RETURN_IF_ERROR(server.AddToken(&context));
      const auto reader = (*stub)->Watch(&context, request);
      reader->WaitForInitialMetadata();
      proto::JobEvent next;
      while (reader->Read(&next)) {
        heard = true;
        if (std::exchange(away, false) && options.away) options.away(false);
        options.after = next.sequence();
        if (!event(next)) {
          context.TryCancel();
          reader->Finish();
          return absl::OkStatus();
        }
      }
      status = reader->Finish();
    }
    const bool slow =
        status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
    const bool gone = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                      status.error_code() == grpc::StatusCode::CANCELLED;
    if (!heard || !(slow || gone)) return server.Explain(status);
    if (slow) continue;
    if (!std::exchange(away, true)) {
      since = clock->Now();
      if (options.away) options.away(true);
    }
    if (clock->Now() - since > options.patience) return server.Explain(status);
    absl::SleepFor(kTryAgain);
  }
}

}  // namespace caracal
