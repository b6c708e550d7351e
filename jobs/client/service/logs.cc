#include "jobs/client/service/logs.h"

#include <cstdint>
#include <memory>

#include "core/base/status.h"
#include "jobs/client/service/server_option.h"

namespace caracal {
namespace {

struct LogsOptions {
  ServerOption server;
  uint64_t id = 0, gang = 0;
  bool follow = false;
};

absl::Status Logs(const LogsOptions& o, Console& console) {
  ASSIGN_OR_RETURN(const auto stub, o.server.Connect());
  proto::LogsRequest request;
  request.set_job(o.id);
  request.set_gang(o.gang);
  request.set_follow(o.follow);
  grpc::ClientContext context;
  if (!o.follow) ServerOption::SetDeadline(&context);
  RETURN_IF_ERROR(o.server.AddToken(&context));
  const auto reader = stub->Logs(&context, request);
  proto::LogsResponse part;
  while (reader->Read(&part)) {
    console.out.write(part.text().data(),
                      static_cast<std::streamsize>(part.text().size()));
    console.out.flush();
    if (!console.out) context.TryCancel();
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? absl::OkStatus() : o.server.Explain(status);
}

}  // namespace

CommandBody DeclareLogs(CLI::App& app) {
  auto o = std::make_shared<LogsOptions>();
  app.add_option("ID", o->id, "the job's number")->required();
  app.add_option("--gang", o->gang, "only of this gang; the first is 1")
      ->type_name("N");
  app.add_flag("-f,--follow", o->follow, "go on until the job has ended");
  o->server.Declare(app);
  return [o](Console& console) { return Logs(*o, console); };
}

}  // namespace caracal
