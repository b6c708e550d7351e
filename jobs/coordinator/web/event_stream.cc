#include "jobs/coordinator/web/event_stream.h"

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "jobs/coordinator/web/job_json.h"

namespace caracal {
namespace {

// A page that catches up gets many messages at a time.
constexpr size_t kPiece = 64 << 10;

}  // namespace

EventStream::EventStream(EventHub* hub, JobId job, uint64_t after)
    : subscription_(hub->Subscribe(job, after, [this] { Wake(); })) {}

EventStream::~EventStream() { subscription_->Close(); }

void EventStream::Wake() {
  absl::MutexLock lock(&mutex_);
  awake_ = true;
  changed_.NotifyAll();
}

void EventStream::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  changed_.NotifyAll();
}

EventStream::Piece EventStream::Next(absl::Duration patience) {
  Piece piece;
  Clock* const clock = Clock::Real();
  const absl::Duration until = clock->Now() + patience;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this] { return awake_ || stopped_; };
      if (!changed_.WaitFor(&mutex_, until - clock->Now(), ready)) {
        piece.text = ": nothing new\n\n";
        return piece;
      }
      awake_ = false;
      if (stopped_) piece.last = true;
    }
    while (!piece.last && piece.text.size() < kPiece) {
      const auto event = subscription_->Take();
      if (!event.ok()) {
        piece.last = true;
      } else if (*event == nullptr) {
        break;
      } else {
        absl::StrAppend(&piece.text, ToServerSentEvent(**event));
      }
    }
    if (piece.text.size() >= kPiece) Wake();  // there is more
    if (piece.last || !piece.text.empty()) return piece;
  }
}

}  // namespace caracal
