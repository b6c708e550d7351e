#include "jobs/coordinator/rpc/log_stream.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/file_system.h"
#include "core/base/steady_condition.h"

namespace caracal {
namespace {

constexpr absl::Duration kLookAgain = absl::Milliseconds(200);
constexpr uint64_t kChunk = 64 << 10;

// "" at the end of what there is, and where there is no file.
std::string ReadChunk(const std::string& path, uint64_t offset) {
  const auto file = FileSystem::Posix()->Open(path);
  if (!file.ok()) return "";
  std::string text(kChunk, '\0');
  const auto got = (*file)->ReadAt(offset, kChunk, text.data());
  text.resize(got.ok() ? *got : 0);
  return text;
}

class LogStream : public grpc::ServerWriteReactor<proto::LogsResponse> {
 public:
  LogStream(const proto::LogsRequest& request, const Coordinator* coordinator,
            LogFile file, StreamLimit::Place place)
      : request_(request),
        coordinator_(coordinator),
        file_(std::move(file)),
        place_(std::move(place)),
        thread_([this] { Finish(Run()); }) {}

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    gone_ |= !ok;
    changed_.NotifyAll();
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    gone_ = true;
    changed_.NotifyAll();
  }
  void OnDone() override {
    // On a thread of gRPC's; ours has called Finish() and is about to end.
    thread_.join();
    delete this;
  }

 private:
  grpc::Status Run() {
    // The reader learns that it is heard before anything is printed.
    StartSendInitialMetadata();
    uint64_t gang =
        std::max({uint64_t{1}, request_.gang(),
                  request_.gang() == 0 ? request_.begin_gang() : 0});
    uint64_t offset = request_.offset();
    while (true) {
      // Looked at before the file: what is printed before the end is read.
      const std::optional<JobRecord> job = coordinator_->Get(request_.job());
      if (!job.has_value()) {
        return grpc::Status(grpc::StatusCode::NOT_FOUND,
                            absl::StrCat("there is no job ", request_.job()));
      }
      const uint64_t last = request_.gang() == 0 ? job->epoch : request_.gang();
      const bool over =
          gang < job->epoch || IsFinal(job->state) || !request_.follow();
      message_.set_text(
          gang <= job->epoch ? ReadChunk(file_(job->id, gang), offset) : "");
      if (!message_.text().empty()) {
        message_.set_gang(gang);
        message_.set_offset(offset);
        offset += message_.text().size();
        if (!Write()) return grpc::Status::CANCELLED;
      } else if (over && gang < last) {
        ++gang;
        offset = 0;
      } else if (over) {
        return grpc::Status::OK;
      } else if (!Pause()) {
        return grpc::Status::CANCELLED;
      }
    }
  }

  // False when the reader is gone.
  bool Write() {
    {
      absl::MutexLock lock(&mutex_);
      if (gone_) return false;
      writing_ = true;
    }
    StartWrite(&message_);
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](bool* writing) { return !*writing; }, &writing_));
    return !gone_;
  }
  bool Pause() {
    absl::MutexLock lock(&mutex_);
    changed_.WaitFor(&mutex_, kLookAgain, [this] { return gone_; });
    return !gone_;
  }

  const proto::LogsRequest request_;
  const Coordinator* const coordinator_;
  const LogFile file_;
  const StreamLimit::Place place_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition changed_;
  proto::LogsResponse message_;  // of the write under way
  std::thread thread_;
};

}  // namespace

grpc::ServerWriteReactor<proto::LogsResponse>* NewLogStream(
    const proto::LogsRequest& request, const Coordinator* coordinator,
    LogFile file, StreamLimit::Place place) {
  return new LogStream(request, coordinator, std::move(file), std::move(place));
}

}  // namespace caracal
