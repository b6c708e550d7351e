#include "jobs/coordinator/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace caracal {
namespace {

bool IsAskedFor() {
  const char* const verbosity = std::getenv("GRPC_VERBOSITY");
  return verbosity != nullptr && *verbosity != '\0';
}

// gRPC takes a plain function.
class Log {
 public:
  static Log& Get() {
    static Log* const log = new Log;
    return *log;
  }

  void SetProgram(const std::string& program) {
    absl::MutexLock lock(&mutex_);
    program_ = program;
  }

  void Tell(absl::string_view line) {
    absl::MutexLock lock(&mutex_);
    std::string text = FailedHandshake(line);
    if (text.empty()) {
      text = absl::StrCat("gRPC: ", line);
    } else {
      const absl::Duration now = Clock::Real()->Now();
      if (told_ && now - last_ < kPause) {
        ++left_out_;
        return;
      }
      told_ = true;
      last_ = now;
      const int64_t before = std::exchange(left_out_, 0);
      absl::StrAppend(&text, "; gRPC does not say who that was");
      if (before > 0) {
        absl::StrAppend(&text, " (", before, " more before it)");
      }
    }
    std::clog << absl::StrCat(program_, ": ", text, "\n") << std::flush;
  }

 private:
  static constexpr absl::Duration kPause = absl::Seconds(1);

  absl::Mutex mutex_;
  std::string program_ ABSL_GUARDED_BY(mutex_);
  bool told_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration last_ ABSL_GUARDED_BY(mutex_);
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

void SilenceGrpcLog() {
  if (IsAskedFor()) return;
  gpr_set_log_function([](gpr_log_func_args*) {});
}

void TellGrpcLog(const std::string& program) {
  if (IsAskedFor()) return;
  Log::Get().SetProgram(program);
  gpr_set_log_function(
      [](gpr_log_func_args* line) { Log::Get().Tell(line->message); });
}

std::string FailedHandshake(absl::string_view line) {
  if (!absl::StartsWith(line, "Handshake failed with ")) return "";
  // "... error SSL_ERROR_SSL: error:0A000418:SSL routines::tlsv1 alert unknown
  // ca."
  absl::string_view why = line.substr(line.rfind(':') + 1);
  why = absl::StripAsciiWhitespace(absl::StripSuffix(why, "."));
  // An alert is what the other side said.
  return absl::StrCat(absl::StrContains(why, "alert")
                          ? "a client refused the certificate of this server"
                          : "a TLS handshake failed",
                      " (", why, ")");
}

}  // namespace caracal
