#include "jobs/coordinator/rpc/watch_stream.h"

#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

class WatchStream : public grpc::ServerWriteReactor<proto::JobEvent> {
 public:
  WatchStream(EventHub* hub, JobId job, uint64_t after,
              StreamLimit::Place place)
      : place_(std::move(place)),
        subscription_(hub->Subscribe(job, after, [this] { Go(); })) {
    // The reader learns that it is heard before there is anything to tell.
    StartSendInitialMetadata();
    Go();
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      gone_ |= !ok;
    }
    Go();
  }
  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      gone_ = true;
    }
    Go();
  }
  void OnDone() override {
    subscription_->Close();
    delete this;
  }

 private:
  // Writes what there is, or ends, unless a write is under way: that goes on
  // when it is done.
  void Go() {
    bool finish = false;
    grpc::Status status;
    {
      absl::MutexLock lock(&mutex_);
      if (writing_ || finished_) return;
      if (gone_) {
        finish = true;
        status = grpc::Status::CANCELLED;
      } else {
        const auto event = subscription_->Take();
        if (!event.ok()) {
          finish = true;
          status = ToGrpc(event.status());
        } else if (*event == nullptr) {
          return;
        } else {
          message_ = ToProto(**event);
          writing_ = true;
        }
      }
      finished_ = finish;
    }
    if (finish) {
      Finish(status);
    } else {
      StartWrite(&message_);
    }
  }

  const StreamLimit::Place place_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  proto::JobEvent message_;  // of the write under way
  const std::shared_ptr<Subscription> subscription_;
};

}  // namespace

grpc::ServerWriteReactor<proto::JobEvent>* NewWatchStream(
    EventHub* hub, JobId job, uint64_t after, StreamLimit::Place place) {
  return new WatchStream(hub, job, after, std::move(place));
}

}  // namespace caracal
