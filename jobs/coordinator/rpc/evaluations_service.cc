#include "jobs/coordinator/rpc/evaluations_service.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/model/component_mode.h"
#include "core/model/feature_map_name.h"
#include "core/model/mode_overrides.h"
#include "eval/probe/probe.h"
#include "jobs/coordinator/rpc/submission.h"
#include "jobs/coordinator/rpc/unary.h"
#include "jobs/coordinator/rpc/wire.h"
#include "jobs/model/loaded_model.h"

namespace caracal {
namespace {

constexpr size_t kLongestSpec = 64 << 10;
constexpr size_t kLongestName = 256, kLongestMessage = 4096;

constexpr proto::EvaluationState kStates[kEvaluationPhases] = {
    proto::EVALUATION_PLANNING, proto::EVALUATION_MEASURING,
    proto::EVALUATION_SUCCEEDED, proto::EVALUATION_FAILED,
    proto::EVALUATION_CANCELLED};

std::string Subject(EvaluationId id) {
  return id == 0 ? "" : absl::StrCat("evaluation ", id);
}

absl::Status NoSuchEvaluation(EvaluationId id) {
  return absl::NotFoundError(absl::StrCat("there is no evaluation ", id));
}

proto::EvaluationInfo ToProto(const EvaluationView& view) {
  proto::EvaluationInfo out;
  out.set_id(view.id);
  out.set_owner(view.request.owner);
  out.set_state(kStates[static_cast<int>(view.phase)]);
  out.set_reason(AsValidUtf8(view.reason));
  out.set_parts(view.parts);
  out.set_leased(view.leased);
  out.set_done(view.done);
  SetTime(view.created, out.mutable_created());
  SetTime(view.changed, out.mutable_changed());
  // It was one when it came.
  out.mutable_spec()->ParseFromString(view.request.spec);
  return out;
}

template <typename Request>
PartLease LeaseOf(const Request& request) {
  return {request.evaluation(), request.part(), request.lease()};
}

// "" is always fine: nothing was said.
bool IsOneOf(const std::string& value,
             std::initializer_list<absl::string_view> values) {
  return value.empty() ||
         std::find(values.begin(), values.end(), value) != values.end();
}

// What options of `caracal attribute` list or name: whether the model and the
// tokenizer suit it shows when the plan is made.
void CheckNames(const proto::EvaluationSpec& spec,
                std::vector<Problem>* problems) {
  const auto refuse = [&](std::string field, const absl::Status& why) {
    if (why.ok()) return;
    problems->push_back(
        {absl::StrCat("spec.", field), std::string(why.message()), ""});
  };
  for (const absl::string_view mode :
       absl::StrSplit(spec.modes(), ',', absl::SkipWhitespace())) {
    refuse("modes", ComponentModeFromName(mode).status());
  }
  for (int i = 0; i < spec.mode_at_size(); ++i) {
    refuse(
        absl::StrCat("mode_at[", i, "]"),
        Annotate(ParseModeOverride(spec.mode_at(i)).status(), spec.mode_at(i)));
  }
  for (const absl::string_view probe :
       absl::StrSplit(spec.probe(), ',', absl::SkipWhitespace())) {
    refuse("probe",
           ProbeKindFromName(absl::StripAsciiWhitespace(probe)).status());
  }
  refuse("probe_lengths", ParseProbeLengths(spec.probe_lengths()).status());
  if (!spec.feature_map().empty() || spec.half_space()) {
    refuse("feature_map",
           FeatureMapFromName(
               spec.feature_map().empty() ? "hedgehog" : spec.feature_map(),
               spec.half_space())
               .status());
  }
}

// But for its paths, and CheckNames().
void CheckSpec(const proto::EvaluationSpec& spec,
               std::vector<Problem>* problems) {
  const auto refuse = [&](absl::string_view field, const char* why) {
    problems->push_back({absl::StrCat("spec.", field), why, ""});
  };
  if (spec.model().empty()) refuse("model", "is missing");
  if (spec.data().empty() && spec.probe().empty()) {
    refuse("data", "is missing: nothing to measure");
  }
  for (const auto& [field, value] : {std::pair("rows", spec.rows()),
                                     {"skip", spec.skip()},
                                     {"seq_len", spec.seq_len()},
                                     {"part_rows", spec.part_rows()},
                                     {"probe_samples", spec.probe_samples()}}) {
    if (value < 0) refuse(field, "is negative");
  }
  // As the options of `caracal attribute` have them.
  if (spec.has_window() &&
      (spec.window() < 1 || spec.window() > int64_t{1} << 20)) {
    refuse("window", "expected 1 to 2^20");
  }
  if (spec.has_sinks() &&
      (spec.sinks() < 0 || spec.sinks() > int64_t{1} << 16)) {
    refuse("sinks", "expected 0 to 2^16");
  }
  if (spec.has_features() && (spec.features() < 2 || spec.features() > 256)) {
    refuse("features", "expected 2 to 256");
  }
  if (!IsOneOf(spec.window_kind(),
               {"sliding", "terraced", "lolcats_terraced"})) {
    refuse("window_kind", "expected sliding, terraced or lolcats_terraced");
  }
  if (!IsOneOf(spec.ablate(), {"layers", "heads"})) {
    refuse("ablate", "expected layers or heads");
  }
  if (spec.has_gamma_init() &&
      !(spec.gamma_init() >= 1e-6 && spec.gamma_init() <= 1 - 1e-6)) {
    refuse("gamma_init", "expected a number between 0 and 1");
  }
  if (spec.has_lora_alpha() && !(spec.lora_alpha() > 0)) {
    refuse("lora_alpha", "expected a number above 0");
  }
  if (spec.micro_batch() < 0 || spec.micro_batch() > 4096) {
    refuse("micro_batch", "expected 1 to 4096");
  }
  if (spec.bootstrap_samples() < 0 || spec.bootstrap_samples() > 1'000'000) {
    refuse("bootstrap_samples", "expected 1 to 1000000");
  }
}

void CheckPaths(const proto::EvaluationSpec& spec, const PathRoots& roots,
                bool* outside, std::vector<Problem>* problems) {
  const auto refuse = [&](absl::string_view field, const absl::Status& why) {
    *outside |= absl::IsPermissionDenied(why);
    problems->push_back(
        {absl::StrCat("spec.", field), std::string(why.message()), ""});
  };
  bool reads_model = !spec.model().empty();
  for (const auto& [field, path] : {std::pair("model", &spec.model()),
                                    {"data", &spec.data()},
                                    {"student_file", &spec.student_file()}}) {
    if (path->empty()) continue;
    absl::Status status;
    if (path->front() != '/') {
      status = absl::InvalidArgumentError("is no absolute path");
    } else {
      status = roots.Resolve(*path).status();
    }
    if (status.ok()) continue;
    refuse(field, status);
    // Nothing of it is read.
    if (path == &spec.model()) reads_model = false;
  }
  if (!reads_model || !roots.confines() || !IsRunFolder(spec.model())) return;
  // Its base model is read, too.
  const absl::StatusOr<proto::Job> job = ReadRunJob(spec.model());
  absl::Status status = job.status();
  if (status.ok()) status = roots.Resolve(job->model().path()).status();
  if (!status.ok()) refuse("model", Annotate(status, "its base model"));
}

}  // namespace

absl::Status CheckEvaluation(const proto::EvaluationSpec& spec,
                             const PathRoots& roots,
                             std::vector<Problem>* problems) {
  bool outside = false;
  if (spec.ByteSizeLong() > kLongestSpec) {
    problems->push_back({"spec", "is too long", ""});
  } else {
    CheckSpec(spec, problems);
    CheckNames(spec, problems);
    CheckPaths(spec, roots, &outside, problems);
  }
  const absl::Status status = ProblemsToStatus(*problems, "evaluation");
  return outside ? absl::PermissionDeniedError(status.message()) : status;
}

grpc::ServerUnaryReactor* EvaluationsService::Create(
    grpc::CallbackServerContext* context,
    const proto::CreateEvaluationRequest* request,
    proto::CreateEvaluationResponse* response) {
  const absl::StatusOr<Visit> visit =
      door_->Enter(context, "Evaluations.Create");
  if (!visit.ok()) return Answer(context, visit.status());
  absl::Status status = CheckKey(request->idempotency_key());
  if (!closed_.empty()) status = absl::FailedPreconditionError(closed_);
  std::vector<Problem> problems;
  if (status.ok()) {
    status = CheckEvaluation(request->spec(), roots_, &problems);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!status.ok()) {
    visit->End(status, 0);
    reactor->Finish(ToGrpc(status, problems));
    return reactor;
  }
  evaluations_->Create(
      {visit->caller().name, request->spec().SerializeAsString(),
       request->idempotency_key()},
      [reactor, response,
       visit = *visit](const absl::StatusOr<EvaluationId>& id) {
        if (id.ok()) response->set_id(*id);
        visit.End(id.status(), 0, Subject(id.value_or(0)));
        reactor->Finish(ToGrpc(id.status()));
      });
  return reactor;
}

grpc::ServerUnaryReactor* EvaluationsService::Get(
    grpc::CallbackServerContext* context,
    const proto::GetEvaluationRequest* request,
    proto::EvaluationInfo* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Evaluations.Get");
  if (!visit.ok()) return Answer(context, visit.status());
  const std::optional<EvaluationView> view = evaluations_->Get(request->id());
  if (!view.has_value())
    return Answer(context, NoSuchEvaluation(request->id()));
  *response = ToProto(*view);
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* EvaluationsService::List(
    grpc::CallbackServerContext* context,
    const proto::ListEvaluationsRequest* request,
    proto::ListEvaluationsResponse* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Evaluations.List");
  if (!visit.ok()) return Answer(context, visit.status());
  std::optional<EvaluationPhase> phase;
  if (request->state() != proto::EVALUATION_STATE_UNSPECIFIED) {
    const auto* const found =
        std::find(std::begin(kStates), std::end(kStates), request->state());
    if (found == std::end(kStates)) {
      return Answer(context, absl::InvalidArgumentError(absl::StrCat(
                                 "state: there is no ", request->state())));
    }
    phase = static_cast<EvaluationPhase>(found - std::begin(kStates));
  }
  const absl::StatusOr<PageAsked> asked =
      ReadPage(request->page_size(), request->page_token());
  if (!asked.ok()) return Answer(context, asked.status());
  const EvaluationPage page =
      evaluations_->List(request->owner(), phase, asked->from, asked->limit);
  for (const EvaluationView& view : page.evaluations) {
    *response->add_evaluations() = ToProto(view);
  }
  if (page.next != 0) {
    response->set_next_page_token(absl::StrCat(page.next));
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* EvaluationsService::Cancel(
    grpc::CallbackServerContext* context,
    const proto::CancelEvaluationRequest* request,
    proto::CancelEvaluationResponse*) {
  const absl::StatusOr<Visit> visit =
      door_->Enter(context, "Evaluations.Cancel");
  if (!visit.ok()) return Answer(context, visit.status());
  const std::optional<std::string> owner = evaluations_->OwnerOf(request->id());
  absl::Status status = NoSuchEvaluation(request->id());
  if (owner.has_value()) status = CheckOwner(visit->caller(), *owner);
  if (!status.ok()) {
    visit->End(status, 0, Subject(request->id()));
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  evaluations_->Cancel(
      request->id(), visit->caller().name,
      [reactor, visit = *visit, id = request->id()](const absl::Status& done) {
        visit.End(done, 0, Subject(id));
        reactor->Finish(ToGrpc(done));
      });
  return reactor;
}

grpc::ServerUnaryReactor* EvaluationsService::ReadParts(
    grpc::CallbackServerContext* context,
    const proto::ReadPartsRequest* request,
    proto::ReadPartsResponse* response) {
  const absl::StatusOr<Visit> visit =
      door_->Enter(context, "Evaluations.ReadParts");
  if (!visit.ok()) return Answer(context, visit.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  evaluations_->ReadParts(
      request->id(), request->from(),
      [reactor, response](const absl::StatusOr<PartPage>& page) {
        absl::Status status = page.status();
        if (status.ok()) {
          response->set_next(page->next);
          for (const std::string& bytes : page->parts) {
            if (response->add_parts()->ParseFromString(bytes)) continue;
            status = absl::DataLossError("a part can't be read");
          }
        }
        reactor->Finish(ToGrpc(status));
      });
  return reactor;
}

grpc::ServerUnaryReactor* EvaluationsService::Lease(
    grpc::CallbackServerContext* context, const proto::LeaseRequest* request,
    proto::LeaseResponse* response) {
  const absl::StatusOr<Visit> visit =
      door_->Enter(context, "Evaluations.Lease");
  if (!visit.ok()) return Answer(context, visit.status());
  if (request->worker().size() > kLongestName ||
      request->version().size() > kLongestName) {
    return Answer(context, absl::InvalidArgumentError("worker: is too long"));
  }
  const Caller& caller = visit->caller();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  evaluations_->Lease(
      {.name = AsValidUtf8(request->worker()),
       .version = request->version(),
       .owner = caller.role == Role::kAdmin ? "" : caller.name,
       .prefers = request->prefers()},
      [reactor, response](const absl::StatusOr<LeasedPart>& leased) {
        absl::Status status = leased.status();
        if (status.ok() && leased->lease.evaluation != 0) {
          response->set_evaluation(leased->lease.evaluation);
          response->set_part(leased->lease.part);
          response->set_lease(leased->lease.lease);
          response->set_lease_ms(leased->lease_ms);
          proto::EvaluationPart plan;
          if ((leased->with_spec &&
               !response->mutable_spec()->ParseFromString(leased->spec)) ||
              !plan.ParseFromString(leased->plan)) {
            status = absl::DataLossError("the evaluation can't be read");
          }
          if (plan.has_plan()) *response->mutable_plan() = plan.plan();
        }
        reactor->Finish(ToGrpc(status));
      });
  return reactor;
}

absl::StatusOr<Visit> EvaluationsService::EnterWithLease(
    grpc::CallbackServerContext* context, const char* method, EvaluationId id) {
  absl::StatusOr<Visit> visit = door_->Enter(context, method);
  if (!visit.ok()) return visit;
  const std::optional<std::string> owner = evaluations_->OwnerOf(id);
  // That there is none is said below.
  if (!owner.has_value()) return visit;
  const absl::Status status = CheckOwner(visit->caller(), *owner);
  if (status.ok()) return visit;
  visit->End(status, 0, Subject(id));
  return status;
}

grpc::ServerUnaryReactor* EvaluationsService::Renew(
    grpc::CallbackServerContext* context, const proto::RenewRequest* request,
    proto::RenewResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterWithLease(context, "Evaluations.Renew", request->evaluation());
  if (!visit.ok()) return Answer(context, visit.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  evaluations_->Renew(LeaseOf(*request), [reactor](const absl::Status& status) {
    reactor->Finish(ToGrpc(status));
  });
  return reactor;
}

grpc::ServerUnaryReactor* EvaluationsService::Complete(
    grpc::CallbackServerContext* context, const proto::CompleteRequest* request,
    proto::CompleteResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterWithLease(context, "Evaluations.Complete", request->evaluation());
  if (!visit.ok()) return Answer(context, visit.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  evaluations_->Complete(LeaseOf(*request), request->result(),
                         [reactor](const absl::Status& status) {
                           reactor->Finish(ToGrpc(status));
                         });
  return reactor;
}

grpc::ServerUnaryReactor* EvaluationsService::Fail(
    grpc::CallbackServerContext* context, const proto::FailRequest* request,
    proto::FailResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterWithLease(context, "Evaluations.Fail", request->evaluation());
  if (!visit.ok()) return Answer(context, visit.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  evaluations_->Fail(LeaseOf(*request), request->for_good(),
                     request->released(),
                     AsValidUtf8(request->message().substr(0, kLongestMessage)),
                     [reactor](const absl::Status& status) {
                       reactor->Finish(ToGrpc(status));
                     });
  return reactor;
}

}  // namespace caracal
