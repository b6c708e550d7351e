#include "jobs/client/service/stream_retry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "jobs/coordinator/rpc/stream_mark.h"

namespace caracal {
namespace {

constexpr absl::Duration kTryAgain = absl::Milliseconds(200);
constexpr absl::Duration kLongestPause = absl::Seconds(5);

// As the coordinator says; negative: not at all.
std::optional<absl::Duration> Pushback(const grpc::ClientContext* context) {
  if (context == nullptr) return std::nullopt;
  const auto& metadata = context->GetServerTrailingMetadata();
  const auto found = metadata.find(kRetryPushback);
  int64_t ms = 0;
  if (found == metadata.end() ||
      !absl::SimpleAtoi(
          absl::string_view(found->second.data(), found->second.size()), &ms)) {
    return std::nullopt;
  }
  return absl::Milliseconds(ms);
}

}  // namespace

StreamRetry::StreamRetry(absl::Duration patience,
                         std::function<void(bool away)> away)
    : patience_(patience), away_told_(std::move(away)), pause_(kTryAgain) {}

bool StreamRetry::IsMarked(const grpc::ClientContext& context) {
  return context.GetServerInitialMetadata().count(kStreamMark) > 0;
}

void StreamRetry::Heard() {
  heard_ = true;
  failing_ = false;
  pause_ = kTryAgain;
  if (std::exchange(away_, false) && away_told_) away_told_(false);
}

bool StreamRetry::Wait(const grpc::Status& status,
                       const grpc::ClientContext* context) {
  // This reader was too slow, or somebody asks too much.
  const bool refused =
      status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
  const bool gone = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                    status.error_code() == grpc::StatusCode::CANCELLED;
  if (!heard_ || !(refused || gone)) return false;
  const absl::Duration now = Clock::Real()->Now();
  if (!std::exchange(failing_, true)) since_ = now;
  absl::Duration pause = kTryAgain;
  if (gone) {
    if (!std::exchange(away_, true) && away_told_) away_told_(true);
  } else {
    pause = pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
    if (const auto told = Pushback(context); told.has_value()) {
      if (*told < absl::ZeroDuration()) return false;
      pause = std::max(pause, *told);
    }
  }
  if (now - since_ + (refused ? pause : absl::ZeroDuration()) > patience_) {
    return false;
  }
  absl::SleepFor(pause);
  return true;
}

}  // namespace caracal
