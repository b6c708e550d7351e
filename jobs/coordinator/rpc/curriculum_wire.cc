#include "jobs/coordinator/rpc/curriculum_wire.h"

namespace caracal {
namespace {

ClosedLoopState FromProto(const proto::ClosedLoopPlace& place) {
  return {place.drop_probability(), place.smoothed_ratio(),
          place.has_smoothed_ratio()};
}

proto::ClosedLoopPlace ToProto(const ClosedLoopState& state) {
  proto::ClosedLoopPlace place;
  place.set_drop_probability(state.drop_probability);
  if (state.has_ratio) place.set_smoothed_ratio(state.smoothed_ratio);
  return place;
}

}  // namespace

CurriculumPoint PointFromProto(const proto::DirectRequest& request) {
  CurriculumPoint point;
  point.stage = request.stage();
  point.step = request.step();
  point.loop = FromProto(request.loop());
  if (request.has_measured()) {
    const proto::UseLosses& m = request.measured();
    point.measured = {m.teacher(), m.teacher_swa(), m.hybrid(), m.swa_only()};
  }
  return point;
}

proto::DirectRequest ToProto(const CurriculumPoint& point) {
  proto::DirectRequest request;
  request.set_stage(point.stage);
  request.set_step(point.step);
  *request.mutable_loop() = ToProto(point.loop);
  if (point.measured.has_value()) {
    proto::UseLosses& m = *request.mutable_measured();
    m.set_teacher(point.measured->teacher);
    m.set_teacher_swa(point.measured->teacher_swa);
    m.set_hybrid(point.measured->hybrid);
    m.set_swa_only(point.measured->swa_only);
  }
  return request;
}

proto::DirectResponse ToProto(const CurriculumWindow& window,
                              uint64_t tunings) {
  proto::DirectResponse response;
  for (const Directive& directive : window.directives) {
    proto::Directive& out = *response.add_directives();
    out.set_drop_probability(directive.drop_probability);
    out.set_window(directive.window);
  }
  *response.mutable_loop() = ToProto(window.loop);
  response.set_tunings(tunings);
  return response;
}

CurriculumWindow WindowFromProto(const proto::DirectResponse& response,
                                 int64_t first_step) {
  CurriculumWindow window;
  window.first_step = first_step;
  for (const proto::Directive& directive : response.directives()) {
    window.directives.push_back(
        {directive.drop_probability(), directive.window()});
  }
  window.loop = FromProto(response.loop());
  return window;
}

}  // namespace caracal
