#include "jobs/coordinator/rpc/event_hub.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace caracal {
namespace {

constexpr int64_t kPage = 256;

std::string StoreJson(const absl::Status& health) {
  nlohmann::ordered_json json = {{"ok", health.ok()}};
  if (!health.ok()) json["why"] = std::string(health.message());
  return json.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

void EventHub::Happened(const std::vector<StoredEvent>& events) {
  // Kept until the lock is free: destroying one takes it.
  std::vector<std::shared_ptr<Subscription>> kept;
  std::set<Subscription*> awake;
  {
    absl::MutexLock lock(&mutex_);
    for (const StoredEvent& event : events) {
      std::shared_ptr<const StoredEvent> shared;
      for (const JobId job : {event.job, JobId{0}}) {
        const auto found = live_.find(job);
        if (found == live_.end()) continue;
        if (shared == nullptr) {
          shared = std::make_shared<const StoredEvent>(event);
        }
        for (Subscription* subscription : found->second) {
          // Null when it is about to be removed.
          kept.push_back(subscription->weak_from_this().lock());
          if (kept.back() != nullptr && subscription->Push(shared)) {
            awake.insert(subscription);
          }
        }
      }
    }
  }
  for (Subscription* subscription : awake) subscription->Wake();
}

void EventHub::StoreChanged(const absl::Status& health) {
  std::vector<std::shared_ptr<Subscription>> awake;
  {
    absl::MutexLock lock(&mutex_);
    store_ = health;
    for (const auto& [job, subscriptions] : live_) {
      for (Subscription* subscription : subscriptions) {
        // Null when it is about to be removed.
        awake.push_back(subscription->weak_from_this().lock());
        if (awake.back() != nullptr) subscription->PushStore(health);
      }
    }
  }
  for (const auto& subscription : awake) {
    if (subscription != nullptr) subscription->Wake();
  }
}

std::shared_ptr<Subscription> EventHub::Subscribe(JobId job, uint64_t sequence,
                                                  std::function<void()> wake) {
  return std::make_shared<Subscription>(this, job, sequence, std::move(wake));
}

void EventHub::Remove(Subscription* subscription) {
  absl::MutexLock lock(&mutex_);
  const auto found = live_.find(subscription->job_);
  if (found == live_.end()) return;
  found->second.erase(subscription);
  if (found->second.empty()) live_.erase(found);
}

Subscription::~Subscription() { hub_->Remove(this); }

void Subscription::Close() {
  absl::MutexLock lock(&wake_mutex_);
  wake_ = nullptr;
}

void Subscription::Wake() {
  absl::MutexLock lock(&wake_mutex_);
  if (wake_) wake_();
}

absl::StatusOr<std::shared_ptr<const StoredEvent>> Subscription::Take() {
  bool read = false;
  {
    absl::MutexLock lock(&mutex_);
    if (!events_.empty()) {
      std::shared_ptr<const StoredEvent> event = std::move(events_.front());
      events_.pop_front();
      bytes_ -= event->data.size();
      sequence_ = event->sequence;
      return event;
    }
    if (!status_.ok()) return status_;
    if (live_ && store_.ok() != told_ok_) {
      told_ok_ = store_.ok();
      return std::make_shared<const StoredEvent>(StoredEvent{
          sequence_, job_, absl::Now(), "store", StoreJson(store_)});
    }
    if (!live_ && !reading_) read = reading_ = true;
  }
  if (read) ReadPage();
  return std::shared_ptr<const StoredEvent>();
}

void Subscription::ReadPage() {
  uint64_t after = 0;
  {
    absl::MutexLock lock(&mutex_);
    after = std::max(sequence_, read_until_);
  }
  hub_->reader_(job_, after, kPage, [self = shared_from_this()](auto page) {
    self->TakePage(std::move(page));
  });
}

void Subscription::TakePage(absl::StatusOr<std::vector<StoredEvent>> page) {
  const bool last = page.ok() && static_cast<int64_t>(page->size()) < kPage;
  absl::Status store;
  if (last) {
    // Nothing happens meanwhile: this is the thread that would tell.
    absl::MutexLock lock(&hub_->mutex_);
    hub_->live_[job_].insert(this);
    store = hub_->store_;
  }
  {
    absl::MutexLock lock(&mutex_);
    store_ = store;
    reading_ = false;
    live_ = last;
    if (page.ok()) {
      for (StoredEvent& event : *page) {
        read_until_ = event.sequence;
        bytes_ += event.data.size();
        events_.push_back(
            std::make_shared<const StoredEvent>(std::move(event)));
      }
    } else {
      status_ = page.status();
    }
  }
  Wake();
}

void Subscription::PushStore(const absl::Status& health) {
  absl::MutexLock lock(&mutex_);
  store_ = health;
}

bool Subscription::Push(const std::shared_ptr<const StoredEvent>& event) {
  absl::MutexLock lock(&mutex_);
  if (!live_ || !status_.ok()) return false;
  // It may have asked for events that are still to come.
  if (event->sequence <= std::max(sequence_, read_until_)) return false;
  if (events_.size() >= kMostEvents ||
      bytes_ + event->data.size() > kMostBytes) {
    status_ = absl::ResourceExhaustedError(absl::StrCat(
        "events came faster than they were read; go on after event ",
        sequence_));
    events_.clear();
    bytes_ = 0;
    return true;
  }
  bytes_ += event->data.size();
  events_.push_back(event);
  return true;
}

}  // namespace caracal
