#include "core/device/recorded_passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

// Notes what becomes of passes that are recorded; does nothing else.
class FakeDevice final : public Device {
 public:
  absl::Status BeginRecording() override {
    if (begin_fails) return absl::UnavailableError("no recording");
    recording_ = true;
    return absl::OkStatus();
  }
  void Fail(const absl::Status& error) override { status.Update(error); }
  absl::StatusOr<std::unique_ptr<DeviceGraph>> EndRecording() override {
    recording_ = false;
    if (fails) recorded_.clear();
    if (fails) return absl::UnavailableError("no graph");
    return std::make_unique<Graph>(this, std::exchange(recorded_, {}));
  }
  bool ok() const override { return !out_of_memory; }

  void Enqueue(const std::string& name) {
    (recording_ ? recorded_ : done) += name;
  }

  bool fails = false, begin_fails = false, out_of_memory = false;
  absl::Status status;
  std::string done;  // by name; launched from a graph in capitals
  int graphs = 0;

  DeviceType type() const override { return DeviceType::kCuda; }
  const std::string& name() const override { return done; }
  void* stream() const override { return nullptr; }
  void* second_stream() const override { return nullptr; }
  absl::StatusOr<Tensor> Allocate(DType,
                                  std::initializer_list<int64_t>) override {
    return absl::UnimplementedError("");
  }
  Arena& arena() override { return arena_; }
  absl::StatusOr<std::unique_ptr<Arena>> NewArena() override {
    return absl::UnimplementedError("");
  }
  void Upload(const void*, size_t, void*) override {}
  void UploadRows(const void*, size_t, int64_t, void*, size_t) override {}
  void Copy(const void*, size_t, void*) override {}
  void CopyRows(const void*, size_t, size_t, int64_t, void*, size_t) override {}
  void SetZero(void*, size_t) override {}
  void Mark(int, void*) override {}
  void Await(int, void*) override {}
  void CopyOn(void*, const void*, size_t, void*) override {}
  void SetZeroOn(void*, void*, size_t) override {}
  void Download(const void*, size_t, void*) override {}
  absl::Status Wait() override { return absl::OkStatus(); }
  int64_t waits() const override { return 0; }
  void set_stall(absl::Duration,
                 std::function<void(const absl::Status&)>) override {}
  uint64_t peak_bytes() const override { return 0; }
  uint64_t total_bytes() const override { return 0; }
  uint64_t free_bytes() const override { return 0; }

 private:
  class Graph final : public DeviceGraph {
   public:
    Graph(FakeDevice* device, std::string work)
        : device_(device), work_(std::move(work)) {
      ++device_->graphs;
    }
    ~Graph() override { --device_->graphs; }
    void Launch() override {
      for (const char c : work_) {
        device_->done += static_cast<char>(std::toupper(c));
      }
    }

   private:
    FakeDevice* device_;
    std::string work_;
  };

  Arena arena_;
  bool recording_ = false;
  std::string recorded_;
};

class RecordedPassesTest : public ::testing::Test {
 protected:
  // A pass for each letter; what was done on the device.
  std::string Run(const std::string& passes) {
    device_.done.clear();
    for (const char c : passes) {
      PassKey key;
      key.Add(c);
      recorded_.Run(key, [&] { device_.Enqueue(std::string(1, c)); });
    }
    return device_.done;
  }

  // One pass of one key; what was done on the device.
  std::string RunPass(absl::FunctionRef<void()> pass) {
    device_.done.clear();
    PassKey key;
    key.Add('p');
    recorded_.Run(key, pass);
    return device_.done;
  }

  FakeDevice device_;
  RecordedPasses recorded_{&device_};
};

TEST_F(RecordedPassesTest, IsRecordedTheSecondTime) {
  EXPECT_EQ(Run("abaabb"), "abAABB");
  EXPECT_EQ(recorded_.launches(), 2);
  EXPECT_EQ(device_.graphs, 2);
}

TEST_F(RecordedPassesTest, KeepsTheLatestFew) {
  EXPECT_EQ(Run("aabbccddeeffgghh"), "aAbBcCdDeEfFgGhH");
  // Launches pay for those that come.
  Run("aaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(Run("ii"), "iI");
  EXPECT_EQ(device_.graphs, 8);
  // b was met longest ago.
  EXPECT_EQ(Run("acdefghib"), "ACDEFGHIb");
}

TEST_F(RecordedPassesTest, WhatIsMetOnceLeavesWhatIsRecorded) {
  Run("aa");
  EXPECT_EQ(Run("bcdefghijklmnopqrstuvwxyz"), "bcdefghijklmnopqrstuvwxyz");
  // Forgotten meanwhile: met for the first time again.
  EXPECT_EQ(Run("ab"), "Ab");
}

TEST_F(RecordedPassesTest, GivesUpWhereNothingIsLaunchedAgain) {
  EXPECT_EQ(Run("aabbccddeeffgghhiijj"), "aAbBcCdDeEfFgGhHiijj");
  // Eight launches earn one.
  EXPECT_EQ(Run("bbbbbbbbj"), "BBBBBBBBJ");
  EXPECT_EQ(Run("kk"), "kk");
}

TEST_F(RecordedPassesTest, LaunchesWhereRecordingFailsAndSaysWhy) {
  EXPECT_EQ(Run("c"), "c");
  EXPECT_OK(recorded_.status());
  device_.fails = true;
  EXPECT_EQ(Run("aaabb"), "aaabb");
  EXPECT_EQ(recorded_.status().message(), "no graph");
  device_.fails = false;
  EXPECT_EQ(Run("aabb"), "aabb");
  EXPECT_EQ(recorded_.launches(), 0);
}

TEST_F(RecordedPassesTest, LaunchesWhereNoRecordingBegins) {
  device_.begin_fails = true;
  EXPECT_EQ(Run("aaa"), "aaa");
  EXPECT_EQ(recorded_.status().message(), "no recording");
}

// Actions run each time, in their places.
TEST_F(RecordedPassesTest, ActsBetweenWhatIsRecorded) {
  const auto pass = [&] {
    device_.Enqueue("a");
    recorded_.Between([&] { device_.Enqueue("-"); });
    device_.Enqueue("b");
    recorded_.Between([&] { device_.Enqueue("+"); });
  };
  const auto run = [&] { return RunPass(pass); };
  EXPECT_EQ(run(), "a-b+");
  EXPECT_EQ(run(), "A-B+");
  EXPECT_EQ(run(), "A-B+");
  EXPECT_EQ(device_.graphs, 3);
  EXPECT_EQ(recorded_.launches(), 1);
}

// Where a part of a pass is not recorded, all of it is launched; nothing twice.
TEST_F(RecordedPassesTest, APartThatFailsFailsThePass) {
  bool fail = false;
  const auto pass = [&] {
    device_.Enqueue("a");
    device_.fails = fail;
    recorded_.Between([&] { device_.Enqueue("-"); });
    device_.fails = false;
    device_.Enqueue("b");
  };
  const auto run = [&] { return RunPass(pass); };
  EXPECT_EQ(run(), "a-b");
  fail = true;
  EXPECT_EQ(run(), "a-b");
  EXPECT_EQ(recorded_.status().message(), "no graph");
  EXPECT_EQ(device_.graphs, 0);
  EXPECT_EQ(run(), "a-b");
}

// What was recorded by then is lost and what follows may run: the device's user
// hears of it.
TEST_F(RecordedPassesTest, ADeviceThatIsLostInAPassFails) {
  const auto pass = [&] {
    device_.fails = device_.begin_fails = true;
    recorded_.Between([] {});
  };
  const auto run = [&] { RunPass(pass); };
  run();
  EXPECT_OK(device_.status);
  device_.fails = device_.begin_fails = false;
  run();
  EXPECT_EQ(device_.status.message(), "no recording");
  EXPECT_FALSE(recorded_.status().ok());
  EXPECT_EQ(device_.graphs, 0);
}

TEST_F(RecordedPassesTest, RecordsNothingWithoutMemory) {
  Run("a");
  device_.out_of_memory = true;
  EXPECT_EQ(Run("aa"), "aa");
  EXPECT_EQ(device_.graphs, 0);
}

TEST(PassKeyTest, AllOfItCounts) {
  const int64_t values[] = {1, 2};
  PassKey a, b, c;
  a.Add(values, 2);
  b.Add(values[0]);
  EXPECT_FALSE(a == b);
  b.Add(values[1]);
  EXPECT_TRUE(a == b);
  c.Add(values[1]);
  c.Add(values[0]);
  EXPECT_FALSE(a == c);
}

}  // namespace
}  // namespace caracal
