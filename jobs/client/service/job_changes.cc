#include "jobs/client/service/job_changes.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/client/service/server_option.h"

namespace caracal {
namespace {

struct ChangeOptions {
  ServerOption server;
  std::vector<uint64_t> ids;
  int64_t priority = 0;
};

// All of them are tried; the first error is told.
template <typename Change>
absl::Status ForEach(const ChangeOptions& o, Change change) {
  absl::Status status;
  for (const uint64_t id : o.ids) {
    absl::Status one = change(id);
    if (absl::IsUnavailable(one)) return one;
    if (!one.ok() && o.ids.size() > 1) {
      one = Annotate(one, absl::StrCat("job ", id));
    }
    status.Update(one);
  }
  return status;
}

std::shared_ptr<ChangeOptions> Declare(CLI::App& app) {
  auto o = std::make_shared<ChangeOptions>();
  app.add_option("ID", o->ids, "numbers of jobs")->required();
  o->server.Declare(app);
  return o;
}

}  // namespace

CommandBody DeclareCancel(CLI::App& app) {
  const auto o = Declare(app);
  return [o](Console&) {
    return ForEach(*o, [&](uint64_t id) {
      proto::CancelJobRequest request;
      request.set_id(id);
      return o->server.Call(&proto::Jobs::Stub::Cancel, request).status();
    });
  };
}

CommandBody DeclareResume(CLI::App& app) {
  const auto o = Declare(app);
  return [o](Console&) {
    return ForEach(*o, [&](uint64_t id) {
      proto::ResumeJobRequest request;
      request.set_id(id);
      request.set_idempotency_key(NewIdempotencyKey());
      return o->server.Call(&proto::Jobs::Stub::Resume, request).status();
    });
  };
}

CommandBody DeclareRm(CLI::App& app) {
  const auto o = Declare(app);
  return [o](Console&) {
    return ForEach(*o, [&](uint64_t id) {
      proto::RemoveJobRequest request;
      request.set_id(id);
      return o->server.Call(&proto::Jobs::Stub::Remove, request).status();
    });
  };
}

CommandBody DeclarePriority(CLI::App& app) {
  auto o = std::make_shared<ChangeOptions>();
  o->ids.resize(1);
  app.add_option("ID", o->ids[0], "the job's number")->required();
  app.add_option("PRIORITY", o->priority, "higher goes first")->required();
  o->server.Declare(app);
  return [o](Console&) {
    proto::SetPriorityRequest request;
    request.set_id(o->ids[0]);
    request.set_priority(o->priority);
    return o->server.Call(&proto::Jobs::Stub::SetPriority, request).status();
  };
}

}  // namespace caracal
