// When to open a stream of the coordinator's again.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_STREAM_RETRY_H_
#define CARACAL_JOBS_CLIENT_SERVICE_STREAM_RETRY_H_

#include <grpcpp/grpcpp.h>

#include <functional>

#include "absl/time/time.h"

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

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_STREAM_RETRY_H_
