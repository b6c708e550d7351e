#include "jobs/coordinator/store/commit_queue.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace caracal {

CommitQueue::CommitQueue(JobStore* store, absl::Duration retry, Changed changed)
    : store_(store),
      retry_(retry),
      health_changed_(std::move(changed)),
      thread_([this] { Run(); }) {}

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CommitQueue::Push(StoreBatch batch, Answer answer, bool wake) {
  {
    const std::lock_guard lock(mutex_);
    if (!batch.empty()) waiting_.batches.push_back(std::move(batch));
    waiting_.answers.push_back(std::move(answer));
  }
  if (wake) changed_.notify_all();
}

void CommitQueue::Add(StoreBatch batch, std::function<void()> done, Held held) {
  Push(std::move(batch), {.done = std::move(done), .held = std::move(held)},
       /*wake=*/true);
}

void CommitQueue::AddForHere(StoreBatch batch, std::function<void()> done,
                             Held held) {
  Push(std::move(batch), {.done = std::move(done), .held = std::move(held)},
       /*wake=*/false);
}

void CommitQueue::Read(std::function<void(JobStore&)> read) {
  Push({}, {.read = std::move(read)}, /*wake=*/true);
}

void CommitQueue::ReadDurable(std::function<void(JobStore&)> read) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.answers.push_back({.read_durable = std::move(read)});
    reads_wait_ = true;
  }
  changed_.notify_all();
}

absl::Status CommitQueue::Health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

CommitQueue::Round CommitQueue::Take() {
  committing_ = true;
  return std::exchange(waiting_, {});
}

void CommitQueue::CommitHere() {
  Round round;
  {
    const std::lock_guard lock(mutex_);
    if (committing_ || waiting_.empty()) return;
    round = Take();
  }
  const bool durable = Write(round).ok();
  if (durable) Tell(round);
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    committing_ = false;
    if (!durable) {
      // The queue's thread has the patience.
      std::move(waiting_.batches.begin(), waiting_.batches.end(),
                std::back_inserter(round.batches));
      std::move(waiting_.answers.begin(), waiting_.answers.end(),
                std::back_inserter(round.answers));
      waiting_ = std::move(round);
    }
    more = !waiting_.empty() || ending_;
  }
  if (more) changed_.notify_all();
}

void CommitQueue::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] {
      return !committing_ && (!waiting_.empty() || ending_);
    });
    if (waiting_.empty()) return;
    Round round = Take();
    lock.unlock();
    bool again = false, told = false;
    for (absl::Status status; !(status = Write(round)).ok(); again = true) {
      if (again && !std::exchange(told, true) && health_changed_) {
        health_changed_(status);
      }
      if (again) TellHeld(round, status);
      {
        const std::lock_guard ended(mutex_);
        if (ending_) return;
      }
      AwaitRetry(round);
    }
    if (told && health_changed_) health_changed_(absl::OkStatus());
    Tell(round);
    lock.lock();
    committing_ = false;
  }
}

void CommitQueue::AwaitRetry(Round& round) {
  const auto until =
      std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(retry_);
  while (true) {
    ServeDurable(round);
    std::unique_lock lock(mutex_);
    const bool woken = changed_.wait_until(
        lock, until, [this] { return ending_ || reads_wait_; });
    if (!woken || ending_) return;
  }
}

void CommitQueue::ServeDurable(Round& round) {
  std::vector<std::function<void(JobStore&)>> reads;
  const auto take = [&reads](Round& from) {
    for (Answer& answer : from.answers) {
      if (answer.read_durable) {
        reads.push_back(std::exchange(answer.read_durable, nullptr));
      }
    }
  };
  take(round);
  {
    const std::lock_guard lock(mutex_);
    take(waiting_);
    reads_wait_ = false;
  }
  for (const auto& read : reads) read(*store_);
  NoteDamage();
}

void CommitQueue::NoteDamage() {
  const absl::Status& damage = store_->database().damage();
  if (damage.ok()) return;
  {
    const std::lock_guard lock(mutex_);
    if (!health_.ok()) return;
    health_ = damage;
  }
  if (health_changed_) health_changed_(damage);
}

absl::Status CommitQueue::Write(const Round& round) {
  if (round.batches.empty()) return absl::OkStatus();
  // What is damaged is not written to: it can only get worse.
  absl::Status status = store_->database().damage();
  if (status.ok()) status = store_->Write(round.batches);
  const std::lock_guard lock(mutex_);
  health_ = status;
  return status;
}

void CommitQueue::TellHeld(Round& round, const absl::Status& why) {
  std::vector<Held> held;
  const auto take = [&held](Round& from) {
    for (Answer& answer : from.answers) {
      if (answer.held) held.push_back(std::exchange(answer.held, nullptr));
    }
  };
  take(round);
  {
    const std::lock_guard lock(mutex_);
    take(waiting_);
  }
  for (const Held& tell : held) tell(why);
}

void CommitQueue::Tell(const Round& round) {
  for (const Answer& answer : round.answers) {
    if (answer.done) answer.done();
    if (answer.read) answer.read(*store_);
    if (answer.read_durable) answer.read_durable(*store_);
  }
  NoteDamage();
}

}  // namespace caracal
