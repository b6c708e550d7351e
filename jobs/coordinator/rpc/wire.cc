#include "jobs/coordinator/rpc/wire.h"

#include "absl/time/time.h"
#include "core/base/utf8.h"
#include "proto/rpc_error.pb.h"

namespace caracal {
namespace {

// By the enum's values on both sides.
constexpr proto::JobState kStates[kJobStates] = {
    proto::QUEUED,    proto::LAUNCHING, proto::RUNNING,
    proto::PREEMPTED, proto::RETRYING,  proto::CANCELLING,
    proto::SUCCEEDED, proto::FAILED,    proto::CANCELLED};

}  // namespace

void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t micros = absl::ToUnixMicros(time);
  out->set_seconds(micros / 1'000'000);
  out->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = AsValidUtf8(status.message());
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (!absl::IsUnavailable(status)) return grpc::Status(code, message);
  google::rpc::Status whole;
  whole.set_code(code);
  whole.set_message(message);
  return grpc::Status(code, message, whole.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

bool IsAway(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         status.error_details().empty();
}

proto::JobState ToProto(JobState state) {
  return kStates[static_cast<int>(state)];
}

std::optional<JobState> FromProto(proto::JobState state) {
  for (int i = 0; i < kJobStates; ++i) {
    if (kStates[i] == state) return static_cast<JobState>(i);
  }
  return std::nullopt;
}

proto::JobInfo ToProto(const JobRecord& job) {
  proto::JobInfo out;
  out.set_id(job.id);
  out.set_name(job.request.name);
  out.set_owner(job.request.owner);
  out.set_state(ToProto(job.state));
  out.set_reason(AsValidUtf8(job.reason));
  out.set_priority(job.request.priority);
  out.set_slots(job.request.slots);
  out.mutable_after()->Add(job.request.after.begin(), job.request.after.end());
  out.mutable_progress()->set_stage(job.progress.stage);
  out.mutable_progress()->set_global_step(job.progress.global_step);
  out.mutable_progress()->set_total_steps(job.progress.total_steps);
  out.set_gangs(job.epoch);
  out.set_retries(job.retries);
  SetTime(job.submitted, out.mutable_submitted());
  SetTime(job.changed, out.mutable_changed());
  if (Waits(job.state) && job.not_before > absl::InfinitePast()) {
    SetTime(job.not_before, out.mutable_not_before());
  }
  if (const auto& p = job.tuning.drop_probability) {
    out.set_tuned_drop_probability(*p);
  }
  if (const auto& w = job.tuning.window) out.set_tuned_window(*w);
  return out;
}

proto::JobEvent ToProto(const StoredEvent& event) {
  proto::JobEvent out;
  out.set_sequence(event.sequence);
  out.set_job(event.job);
  SetTime(event.time, out.mutable_time());
  out.set_kind(event.kind);
  out.set_data(event.data);
  return out;
}

}  // namespace caracal
