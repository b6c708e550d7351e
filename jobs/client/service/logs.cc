#include "jobs/client/service/logs.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <utility>

#include "core/base/status.h"
#include "jobs/client/service/id_check.h"
#include "jobs/client/service/server_option.h"
#include "jobs/client/service/stream_retry.h"

namespace caracal {
namespace {

// With a coordinator that went away.
constexpr absl::Duration kPatience = absl::Minutes(5);

struct LogsOptions {
  ServerOption server;
  uint64_t id = 0, gang = 0;
  bool follow = false;
};

// Prints each byte once. A stream that is opened again comes from the first
// byte of the first gang.
class Printer {
 public:
  explicit Printer(std::ostream* out) : out_(*out) {}

  void Begin() { gang_ = at_ = 0; }
  void Add(const proto::LogsResponse& part) {
    if (part.gang() != std::exchange(gang_, part.gang())) at_ = 0;
    const uint64_t size = part.text().size(),
                   begin = std::exchange(at_, at_ + size);
    if (gang_ < printed_gang_) return;
    if (gang_ > printed_gang_) printed_ = 0;
    printed_gang_ = gang_;
    if (at_ <= printed_) return;
    const uint64_t skip = printed_ - std::min(printed_, begin);
    out_.write(part.text().data() + skip,
               static_cast<std::streamsize>(size - skip));
    out_.flush();
    printed_ = at_;
  }

 private:
  std::ostream& out_;
  uint64_t gang_ = 0, at_ = 0;  // of the stream: where in whose log
  uint64_t printed_gang_ = 0, printed_ = 0;
};

absl::Status Logs(const LogsOptions& o, Console& console) {
  StreamRetry retry(kPatience, [&console](bool away) {
    console.err << (away ? "the coordinator is away; waiting for it"
                         : "the coordinator is back")
                << std::endl;
  });
  Printer printer(&console.out);
  bool called = false;
  while (true) {
    // The address may be another one by now.
    const auto stub = o.server.Connect();
    if (!stub.ok() && !called) return stub.status();
    called = true;
    grpc::Status status(grpc::StatusCode::UNAVAILABLE, "");
    grpc::ClientContext context;
    if (stub.ok()) {
      proto::LogsRequest request;
      request.set_job(o.id);
      request.set_gang(o.gang);
      request.set_follow(o.follow);
      if (!o.follow) ServerOption::SetDeadline(&context);
      RETURN_IF_ERROR(o.server.AddToken(&context));
      const auto reader = (*stub)->Logs(&context, request);
      retry.Open(*reader, context);
      printer.Begin();
      proto::LogsResponse part;
      while (reader->Read(&part)) {
        retry.Heard();
        printer.Add(part);
        if (!console.out) context.TryCancel();
      }
      status = reader->Finish();
    }
    if (status.ok()) return absl::OkStatus();
    if (!o.follow || !console.out ||
        !retry.Wait(status, stub.ok() ? &context : nullptr)) {
      return o.server.Explain(status);
    }
  }
}

}  // namespace

CommandBody DeclareLogs(CLI::App& app) {
  auto o = std::make_shared<LogsOptions>();
  app.add_option("ID", o->id, "the job's number")->required()->check(CheckId);
  app.add_option("--gang", o->gang, "only of this gang; the first is 1")
      ->type_name("N")
      ->check(CheckId);
  app.add_flag("-f,--follow", o->follow, "go on until the job has ended");
  o->server.Declare(app);
  return [o](Console& console) { return Logs(*o, console); };
}

}  // namespace caracal
