#include "jobs/coordinator/rpc/submission.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "jobs/coordinator/rpc/wire.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/slots.h"
#include "jobs/spec/value_tree.h"
#include "proto/rpc_error.pb.h"

namespace caracal {
namespace {

constexpr size_t kLongestKey = 128;

// Of an error's message, bytes. It travels as metadata, of which a client takes
// 8 KiB: as text, and with the same problems again in base64.
constexpr size_t kLongestMessage = 1800;

// The first of the problems, as many as fit, and at least one, of which the end
// may be cut off; all where `message` fits.
std::vector<Problem> ThatFit(absl::string_view message,
                             const std::vector<Problem>& problems) {
  if (message.size() <= kLongestMessage) return problems;
  constexpr size_t kBesideThem = 100;  // how many there are, and how many more
  std::vector<Problem> fit = {problems[0]};
  std::string& first = fit[0].message;
  size_t bytes = kBesideThem + fit[0].ToString().size();
  if (bytes > kLongestMessage) {
    const size_t cut = bytes - kLongestMessage;
    first.resize(first.size() - std::min(cut, first.size()));
    first += "...";
    bytes = kLongestMessage;
  }
  for (size_t i = 1; i < problems.size(); ++i) {
    bytes += problems[i].ToString().size() + 3;  // a line of its own
    if (bytes > kLongestMessage) break;
    fit.push_back(problems[i]);
  }
  return fit;
}

}  // namespace

absl::Status CheckKey(const std::string& idempotency_key) {
  if (idempotency_key.size() <= kLongestKey) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("idempotency_key: has ", idempotency_key.size(),
                   " bytes, expected at most ", kLongestKey));
}

absl::Status ReadSubmission(const proto::SubmitRequest& request, int64_t slots,
                            const SlurmRules& slurm, RootedFileSystem* files,
                            SurroundingsCache* surroundings, JobRequest* out,
                            std::vector<Problem>* problems) {
  RETURN_IF_ERROR(CheckKey(request.idempotency_key()));
  out->priority = request.priority();
  for (const JobId id : request.after()) {
    if (std::ranges::find(out->after, id) == out->after.end()) {
      out->after.push_back(id);
    }
  }
  if (request.has_max_retries()) out->max_retries = request.max_retries();
  out->idempotency_key = request.idempotency_key();
  if (request.job().size() > kMaxJobBytes) {
    problems->push_back(
        {"job",
         absl::StrCat("has ", request.job().size(),
                      " bytes, must have at most ", kMaxJobBytes),
         ""});
    return absl::OkStatus();
  }
  const absl::StatusOr<proto::Job> job = LoadJobText(
      request.job(), kSubmittedJob, "", {}, files,
      [&](const proto::Job& valid, std::vector<Problem>* found) {
        return surroundings->Check(valid, found);
      },
      problems);
  RETURN_IF_ERROR(job.status());
  CheckJobPaths(*job, files->roots(), problems);
  CheckSlurmRules(*job, slurm, problems);
  // Whether there are as many is told with all the rest.
  if (!IsAboutSame(*problems, "parallel") &&
      !IsAboutSame(*problems, "threads")) {
    out->slots = SlotsOf(*job, slots);
  }
  if (!problems->empty()) return absl::OkStatus();
  out->name = job->name();
  out->spec = MakeSpec(*job);
  return absl::OkStatus();
}

grpc::Status ToGrpc(const absl::Status& status,
                    const std::vector<Problem>& problems) {
  if (problems.empty()) return ToGrpc(status);
  const std::vector<Problem> fit = ThatFit(status.message(), problems);
  std::string message(status.message());
  if (message.size() > kLongestMessage) {
    const size_t more = problems.size() - fit.size();
    message = std::string(ProblemsToStatus(fit, kSubmittedJob).message());
    if (more > 0) {
      absl::StrAppend(&message, "\n  and ", more,
                      " more: Jobs.Validate tells all");
    }
  }
  google::rpc::BadRequest details;
  for (const Problem& problem : fit) {
    auto& violation = *details.add_field_violations();
    violation.set_field(AsValidUtf8(problem.field));
    violation.set_description(AsValidUtf8(problem.message));
  }
  google::rpc::Status whole;
  whole.set_code(static_cast<int>(status.code()));
  whole.set_message(AsValidUtf8(message));
  whole.add_details()->PackFrom(details);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      whole.message(), whole.SerializeAsString());
}

}  // namespace caracal
