#include "jobs/coordinator/store/commit_queue.h"

#include <utility>

namespace caracal {

CommitQueue::CommitQueue(JobStore* store, absl::Duration retry)
    : store_(store), retry_(retry), thread_([this] { Run(); }) {}

CommitQueue::~CommitQueue() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  thread_.join();
}

void CommitQueue::Add(StoreBatch batch, std::function<void()> done) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({std::move(batch), std::move(done), nullptr});
}

void CommitQueue::Read(std::function<void(JobStore&)> read) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({{}, nullptr, std::move(read)});
}

absl::Status CommitQueue::Health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

void CommitQueue::Run() {
  while (true) {
    std::vector<Entry> entries;
    {
      absl::MutexLock lock(&mutex_);
      const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return !waiting_.empty() || ending_;
      };
      mutex_.Await(absl::Condition(&something));
      if (waiting_.empty()) return;
      entries = std::move(waiting_);
      waiting_.clear();
    }
    std::vector<StoreBatch> batches;
    for (Entry& entry : entries) {
      if (!entry.batch.empty()) batches.push_back(std::move(entry.batch));
    }
    if (!batches.empty() && !Write(batches)) return;
    for (const Entry& entry : entries) {
      if (entry.done) entry.done();
      if (entry.read) entry.read(*store_);
    }
  }
}

bool CommitQueue::Write(const std::vector<StoreBatch>& batches) {
  while (true) {
    const absl::Status status = store_->Write(batches);
    absl::MutexLock lock(&mutex_);
    health_ = status;
    if (status.ok()) return true;
    if (ending_) return false;
    mutex_.AwaitWithTimeout(absl::Condition(&ending_), retry_);
  }
}

}  // namespace caracal
