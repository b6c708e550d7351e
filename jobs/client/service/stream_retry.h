// Streams of the coordinator's, and when to open one again.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_STREAM_RETRY_H_
#define CARACAL_JOBS_CLIENT_SERVICE_STREAM_RETRY_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "jobs/client/service/server_option.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

// For one thread.
class StreamRetry {
 public:
  // `patience`: how long a coordinator that went away, or that refuses, is
  // waited for. `away`: it is away, or back; may be empty.
  StreamRetry(absl::Duration patience, std::function<void(bool away)> away);

  // Waits until the coordinator has let the stream in, or has not; to be called
  // before the first Read().
  template <typename Reader>
  void Open(Reader& reader, const grpc::ClientContext& context) {
    reader.WaitForInitialMetadata();
    if (IsMarked(context)) Heard();
  }
  // The stream is one that the coordinator hears: it is back.
  void Heard();

  // After a stream that ended so: sleeps, and true, when it shall be opened
  // again. False for errors that would come again, for a coordinator that was
  // never heard, and when patience has run out. `context` may be null: there
  // was no call.
  bool Wait(const grpc::Status& status, const grpc::ClientContext* context);

 private:
  static bool IsMarked(const grpc::ClientContext& context);

  const absl::Duration patience_;
  const std::function<void(bool)> away_told_;
  bool heard_ = false;    // ever
  bool away_ = false;     // and told so
  bool failing_ = false;  // since `since_`
  absl::Duration since_, pause_;
};

struct StreamOptions {
  // As of StreamRetry.
  absl::Duration patience = absl::Minutes(5);
  std::function<void(bool away)> away = {};
  bool again = true;  // false: one that ends with an error ends for good
};

// Reads a stream of the coordinator's to its end, or until `take` returns
// false. `open` calls; and again, to go on after what was taken, whenever the
// coordinator was away or has refused. Errors are explained for people.
template <typename Response>
absl::Status ReadStream(
    const ServerOption& server, const StreamOptions& options,
    const std::function<std::unique_ptr<grpc::ClientReader<Response>>(
        proto::Jobs::Stub&, grpc::ClientContext*)>& open,
    const std::function<bool(const Response&)>& take) {
  StreamRetry retry(options.patience, options.away);
  for (bool first = true;; first = false) {
    // The address may be another one by now.
    const auto stub = server.Connect();
    if (!stub.ok() && first) return stub.status();
    grpc::Status status(grpc::StatusCode::UNAVAILABLE, "");
    grpc::ClientContext context;
    if (stub.ok()) {
      RETURN_IF_ERROR(server.AddToken(&context));
      const auto reader = open(**stub, &context);
      retry.Open(*reader, context);
      Response next;
      while (reader->Read(&next)) {
        retry.Heard();
        if (take(next)) continue;
        context.TryCancel();
        reader->Finish();
        return absl::OkStatus();
      }
      status = reader->Finish();
      if (status.ok()) return absl::OkStatus();
    }
    if (!options.again || !retry.Wait(status, stub.ok() ? &context : nullptr)) {
      return server.Explain(status);
    }
  }
}

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_STREAM_RETRY_H_
