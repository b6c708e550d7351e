#include "jobs/coordinator/store/commit_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/store/schema.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::_;

JobRecord Record(JobId id) {
  JobRecord job;
  job.id = id;
  job.submitted = job.changed = absl::UnixEpoch();
  return job;
}

StoredEvent Event(uint64_t sequence) {
  return {sequence, 1, absl::UnixEpoch(), "state", "{}"};
}

class CommitQueueTest : public ::testing::Test {
 protected:
  CommitQueueTest() {
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    queue_.emplace(store_.get(), absl::Milliseconds(1));
  }

  // By somebody else, behind the store's back.
  void Execute(const std::string& sql) {
    if (other_ == nullptr) {
      auto other = Database::Open(folder_.File("coordinator.sqlite"),
                                  CoordinatorMigrations());
      CARACAL_CHECK_OK(other.status());
      other_ = *std::move(other);
    }
    CARACAL_CHECK_OK(other_->Execute(sql));
  }
  // The store refuses Event(1) from the one to the other.
  void PutInTheWay() {
    Execute("INSERT INTO events VALUES (1, 1, 0, 'in the way', '{}')");
  }
  void MakeWay() { Execute("DELETE FROM events"); }

  TemporaryFolder folder_;
  std::unique_ptr<JobStore> store_;
  std::optional<CommitQueue> queue_;
  std::unique_ptr<Database> other_;
};

TEST_F(CommitQueueTest, NothingIsWrittenToWhatAReadFoundDamaged) {
  const auto restart = [this](CommitQueue::Changed changed) {
    queue_.reset();
    store_ = nullptr;
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    queue_.emplace(store_.get(), absl::Milliseconds(1), std::move(changed));
  };
  for (uint64_t i = 1; i <= 100; ++i) {
    StoredEvent event = Event(i);
    event.data = std::string(1000, 'x');
    queue_->Add({.events = {event}}, nullptr);
  }
  std::promise<absl::Status> told;
  std::atomic<bool> first = true;
  restart([&](const absl::Status& health) {
    if (first.exchange(false)) told.set_value(health);
  });
  ASSERT_OK(store_->database().Execute("PRAGMA shrink_memory"));
  // All but what holds the schema.
  const std::string path = folder_.File("coordinator.sqlite");
  const auto size = std::filesystem::file_size(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(size - 4096, '\xAA');
  }
  queue_->ReadDurable(
      [](JobStore& store) { EXPECT_FALSE(store.Events(0, 0, 1000).ok()); });
  EXPECT_THAT(told.get_future().get(), StatusIs(StatusCode::kDataLoss, _));
  EXPECT_THAT(queue_->Health(), StatusIs(StatusCode::kDataLoss, _));
  std::promise<void> held;
  queue_->Add({.saved = {Record(1)}}, nullptr,
              [&](const absl::Status&) { held.set_value(); });
  held.get_future().wait();
}

TEST_F(CommitQueueTest, TellsInOrderWhatIsDurable) {
  std::vector<int> told;
  for (int i = 1; i <= 1000; ++i) {
    const bool empty = i % 10 == 0;
    queue_->Add(empty ? StoreBatch()
                      : StoreBatch{.saved = {Record(i)},
                                   .next_id = static_cast<JobId>(i + 1)},
                [&told, i] { told.push_back(i); });
  }
  size_t seen = 0;
  queue_->Read([&](JobStore& store) { seen = store.Load()->jobs.size(); });
  queue_.reset();
  EXPECT_EQ(seen, 900u);
  ASSERT_EQ(told.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
}

TEST_F(CommitQueueTest, CommitsOnTheCallersThreadOrLeavesItToWhoIsAtIt) {
  const auto add = [&](JobId id, std::function<void()> done) {
    queue_->AddForHere({.saved = {Record(id)}, .next_id = 1000},
                       std::move(done));
  };
  std::thread::id told_on;
  add(1, [&] { told_on = std::this_thread::get_id(); });
  queue_->CommitHere();
  EXPECT_EQ(told_on, std::this_thread::get_id());
  queue_->CommitHere();  // nothing waits

  // Of those who come while it commits: the rest is left to the queue's thread.
  std::promise<std::thread::id> second;
  add(2, [&] {
    add(3, [&] { second.set_value(std::this_thread::get_id()); });
    queue_->CommitHere();
  });
  queue_->CommitHere();
  EXPECT_NE(second.get_future().get(), std::this_thread::get_id());

  // From many threads at once: all are told.
  std::atomic<int> told = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        add(10 + t * 50 + i, [&] { ++told; });
        queue_->CommitHere();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  queue_.reset();
  EXPECT_EQ(told, 200);
  EXPECT_EQ(store_->Load()->jobs.size(), 203u);
}

TEST_F(CommitQueueTest, WhatIsRefusedHereIsTriedAgainByTheThread) {
  PutInTheWay();
  std::promise<std::thread::id> told;
  queue_->AddForHere({.saved = {Record(1)}, .events = {Event(1)}, .next_id = 2},
                     [&] { told.set_value(std::this_thread::get_id()); });
  queue_->CommitHere();
  EXPECT_FALSE(queue_->Health().ok());
  MakeWay();
  EXPECT_NE(told.get_future().get(), std::this_thread::get_id());
  queue_.reset();
  EXPECT_EQ(store_->Load()->jobs.size(), 1u);
}

TEST_F(CommitQueueTest, WhatIsRefusedIsTriedAgain) {
  PutInTheWay();
  std::atomic<bool> told = false;
  std::promise<void> done;
  queue_->Add({.saved = {Record(1)}, .events = {Event(1)}, .next_id = 2}, [&] {
    told = true;
    done.set_value();
  });
  while (queue_->Health().ok()) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_FALSE(told);
  MakeWay();
  done.get_future().wait();
  EXPECT_OK(queue_->Health());
  queue_.reset();
  EXPECT_EQ(store_->Load()->jobs.size(), 1u);
}

TEST_F(CommitQueueTest, WhoHasToWaitIsToldOnce) {
  PutInTheWay();
  std::promise<absl::Status> held, held_behind;
  std::atomic<bool> told = false;
  // Set twice, a promise ends the test.
  queue_->Add(
      {.saved = {Record(1)}, .events = {Event(1)}, .next_id = 2},
      [&] { told = true; },
      [&](const absl::Status& why) { held.set_value(why); });
  EXPECT_FALSE(held.get_future().get().ok());
  queue_->Add({.saved = {Record(2)}}, nullptr,
              [&](const absl::Status& why) { held_behind.set_value(why); });
  EXPECT_FALSE(held_behind.get_future().get().ok());
  EXPECT_FALSE(told);
  MakeWay();
  queue_.reset();
  EXPECT_TRUE(told);
  EXPECT_EQ(store_->Load()->jobs.size(), 2u);
}

// What is durable can be read while nothing more becomes so.
TEST_F(CommitQueueTest, WhatIsDurableIsReadWhileTheStoreFails) {
  std::atomic<int> failed = 0, worked = 0;
  queue_.emplace(
      store_.get(), absl::Milliseconds(1),
      [&](const absl::Status& health) { ++(health.ok() ? worked : failed); });
  const auto read = [&] {
    std::promise<size_t> seen;
    queue_->ReadDurable([&](JobStore& store) {
      seen.set_value(store.Events(1, 0, 10)->size());
    });
    return seen.get_future().get();
  };
  queue_->Add({.saved = {Record(1)}, .events = {Event(1)}, .next_id = 2},
              nullptr);
  EXPECT_EQ(read(), 1u);
  Execute("ALTER TABLE events RENAME TO away");
  Execute("CREATE VIEW events AS SELECT * FROM away");  // takes no rows
  std::promise<void> held;
  bool told = false;
  queue_->Add(
      {.saved = {Record(1)}, .events = {Event(2)}, .next_id = 2},
      [&] { told = true; }, [&](const absl::Status&) { held.set_value(); });
  held.get_future().wait();
  EXPECT_EQ(failed, 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read(), 1u);
  EXPECT_FALSE(told);
  Execute("DROP VIEW events");
  Execute("ALTER TABLE away RENAME TO events");
  queue_.reset();
  EXPECT_TRUE(told);
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(worked, 1);
}

TEST_F(CommitQueueTest, EndsThoughTheStoreFails) {
  Execute("DROP TABLE numbers");
  bool told = false;
  queue_->Add({.saved = {Record(1)}, .next_id = 2}, [&] { told = true; });
  queue_.reset();
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace caracal
