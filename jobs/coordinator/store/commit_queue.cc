#include "jobs/coordinator/store/commit_queue.h"

#include <utility>

namespace caracal {

CommitQueue::CommitQueue(JobStore* store, absl::Duration retry)
    : store_(store), retry_(retry), thread_([this] { Run(); }) {}

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CommitQueue::Add(StoreBatch batch, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(batch), std::move(done), nullptr});
  }
  changed_.notify_all();
}

void CommitQueue::Read(std::function<void(JobStore&)> read) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({{}, nullptr, std::move(read)});
  }
  changed_.notify_all();
}

absl::Status CommitQueue::Health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

void CommitQueue::Run() {
  while (true) {
    std::vector<Entry> entries;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !waiting_.empty() || ending_; });
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
    std::unique_lock lock(mutex_);
    health_ = status;
    if (status.ok()) return true;
    if (ending_) return false;
    changed_.wait_for(lock, absl::ToChronoMilliseconds(retry_),
                      [this] { return ending_; });
  }
}

}  // namespace caracal
