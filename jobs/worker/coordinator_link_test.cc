#include "jobs/worker/coordinator_link.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/base/wall_clock_ahead.h"

namespace caracal {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

// A coordinator that keeps what it is told.
class FakeGangs final : public proto::Gangs::Service {
 public:
  grpc::Status Register(grpc::ServerContext*, const proto::RegisterRequest* r,
                        proto::RegisterResponse* response) override {
    absl::MutexLock lock(&mutex_);
    ++registered_;
    credential_ = r->credential();
    response->set_lines(lines_.size());
    return answer_;
  }
  grpc::Status Heartbeat(grpc::ServerContext*, const proto::HeartbeatRequest* r,
                         proto::HeartbeatResponse* response) override {
    absl::MutexLock lock(&mutex_);
    progress_ = r->progress();
    ++heard_;
    if (takes_gaps_ && r->metrics_size() > 0 &&
        r->first_line() > lines_.size() + 1) {
      lines_.resize(r->first_line() - 1);
    }
    for (int i = 0; i < r->metrics_size(); ++i) {
      if (r->first_line() + i == lines_.size() + 1) {
        lines_.push_back(r->metrics(i));
      }
    }
    response->set_lines(lines_.size());
    response->set_stop(stop_);
    return answer_;
  }
  void Answer(const grpc::Status& status, bool stop = false) {
    absl::MutexLock lock(&mutex_);
    answer_ = status;
    stop_ = stop;
  }
  template <typename F>
  bool Eventually(F condition) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(
        absl::Condition(
            +[](F* f) { return (*f)(); }, &condition),
        kPatience);
  }
  size_t lines() const { return lines_.size(); }

  absl::Mutex mutex_;
  int registered_ = 0, heard_ = 0;
  std::string credential_;
  proto::JobProgress progress_;
  std::vector<std::string> lines_;
  grpc::Status answer_;
  bool stop_ = false;
  bool takes_gaps_ = false;
};

class CoordinatorLinkTest : public ::testing::Test {
 protected:
  ~CoordinatorLinkTest() override { StopServer(); }

  void StartServer() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&gangs_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    ASSERT_OK(WriteEndpoint({absl::StrCat("127.0.0.1:", port)}, file_));
  }
  void StopServer() {
    if (server_ != nullptr) server_->Shutdown();
    server_ = nullptr;
  }
  void Open() {
    CoordinatorLinkOptions options;
    options.gang = {7, 3};
    options.credential = "secret";
    options.endpoint_file = file_;
    options.interval = absl::Milliseconds(20);
    options.most_kept = most_kept_;
    options.written = written_;
    options.stop = [this] { Note("stop"); };
    options.fenced = [this](const std::string& why) { Note("fenced " + why); };
    options.tell = [this](const std::string& line) { Note(line); };
    link_.emplace(options);
  }
  void Note(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    notes_.push_back(what);
  }
  // Waits for the `n`th note.
  std::string NoteOf(size_t n) {
    absl::MutexLock lock(&mutex_);
    struct Wanted {
      std::vector<std::string>* notes;
      size_t n;
    } wanted = {&notes_, n};
    return mutex_.AwaitWithTimeout(
               absl::Condition(
                   +[](Wanted* w) { return w->notes->size() > w->n; }, &wanted),
               kPatience)
               ? notes_[n]
               : "nothing";
  }

  TemporaryFolder folder_;
  const std::string file_ = folder_.File("endpoint.json");
  FakeGangs gangs_;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
  size_t most_kept_ = 100'000;
  std::function<absl::StatusOr<std::vector<std::string>>(int64_t, size_t)>
      written_;
  std::optional<CoordinatorLink> link_;
};

TEST_F(CoordinatorLinkTest, ReportsAndIsToldToStop) {
  StartServer();
  Open();
  link_->SetProgress("transfer", 3, 9);
  for (int i = 1; i <= 1500; ++i) link_->AddMetrics(absl::StrCat(i));
  EXPECT_TRUE(gangs_.Eventually([&] { return gangs_.lines() == 1500; }));
  EXPECT_TRUE(
      gangs_.Eventually([&] { return gangs_.progress_.global_step() == 3; }));
  EXPECT_EQ(gangs_.credential_, "secret");
  gangs_.Answer(grpc::Status::OK, /*stop=*/true);
  EXPECT_EQ(NoteOf(0), "stop");
  // What comes last still goes out.
  link_->AddMetrics("1501");
  link_.reset();
  EXPECT_EQ(gangs_.lines(), 1501);
  EXPECT_EQ(gangs_.registered_, 1);
  for (size_t i = 0; i < gangs_.lines(); ++i) {
    ASSERT_EQ(gangs_.lines_[i], absl::StrCat(i + 1));
  }
}

TEST_F(CoordinatorLinkTest, AClockThatIsSetBackSilencesNobody) {
  const WallClockAhead ahead(absl::Hours(2));
  StartServer();
  Open();
  EXPECT_TRUE(gangs_.Eventually([&] { return gangs_.heard_ >= 3; }));
  link_.reset();
}

TEST_F(CoordinatorLinkTest, ACoordinatorThatComesBackElsewhereIsFound) {
  Open();
  link_->AddMetrics("1");
  EXPECT_THAT(NoteOf(0), ::testing::HasSubstr("can't be reached"));
  StartServer();
  EXPECT_EQ(NoteOf(1), "the coordinator is back");
  EXPECT_TRUE(gangs_.Eventually([&] { return gangs_.lines() == 1; }));
  StopServer();
  link_->AddMetrics("2");
  EXPECT_THAT(NoteOf(2), ::testing::HasSubstr("can't be reached"));
  StartServer();
  EXPECT_EQ(NoteOf(3), "the coordinator is back");
  EXPECT_TRUE(gangs_.Eventually([&] { return gangs_.lines() == 2; }));
  EXPECT_EQ(gangs_.registered_, 2);
}

// More lines than are kept, while nobody hears of them.
TEST_F(CoordinatorLinkTest, LinesThatAreKeptNoLongerAreReadAgain) {
  most_kept_ = 10;
  written_ = [](int64_t first, size_t most) {
    std::vector<std::string> lines;
    // Not all at once.
    for (int64_t i = 0; i < std::min<int64_t>(most, 300); ++i) {
      lines.push_back(absl::StrCat(first + i));
    }
    return lines;
  };
  Open();
  for (int i = 1; i <= 2000; ++i) link_->AddMetrics(absl::StrCat(i));
  StartServer();
  EXPECT_TRUE(gangs_.Eventually([&] { return gangs_.lines() == 2000; }));
  // Nor has one that was restored from before what others have told it.
  {
    absl::MutexLock lock(&gangs_.mutex_);
    gangs_.lines_.resize(7);
  }
  link_->AddMetrics("2001");
  link_.reset();
  ASSERT_EQ(gangs_.lines(), 2001);
  for (size_t i = 0; i < gangs_.lines(); ++i) {
    ASSERT_EQ(gangs_.lines_[i], absl::StrCat(i + 1));
  }
}

TEST_F(CoordinatorLinkTest, WhatIsLostIsTold) {
  most_kept_ = 10;
  gangs_.takes_gaps_ = true;
  written_ = [](int64_t, size_t) { return absl::DataLossError("no disk"); };
  Open();
  EXPECT_THAT(NoteOf(0), ::testing::HasSubstr("can't be reached"));
  for (int i = 1; i <= 15; ++i) link_->AddMetrics(absl::StrCat(i));
  StartServer();
  EXPECT_EQ(NoteOf(1),
            "lines 1 to 5 of the metrics are missing at the coordinator: no "
            "disk");
  EXPECT_TRUE(gangs_.Eventually([&] { return gangs_.lines() == 15; }));
  link_.reset();
  EXPECT_EQ(gangs_.lines_[4], "");
  EXPECT_EQ(gangs_.lines_[5], "6");
}

TEST_F(CoordinatorLinkTest, AGangThatWasGivenUpIsFenced) {
  StartServer();
  gangs_.Answer(grpc::Status(grpc::StatusCode::ABORTED, "given up"));
  Open();
  EXPECT_EQ(NoteOf(0), "fenced given up");
  link_.reset();
  EXPECT_EQ(gangs_.registered_, 1);
}

TEST_F(CoordinatorLinkTest, ItEndsWithoutACoordinator) {
  Open();
  link_->AddMetrics("1");
  EXPECT_THAT(NoteOf(0), ::testing::HasSubstr("endpoint.json"));
  link_.reset();
}

}  // namespace
}  // namespace caracal
