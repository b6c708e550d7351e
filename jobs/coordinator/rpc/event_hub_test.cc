#include "jobs/coordinator/rpc/event_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A store in memory, whose pages come when the test wants them to.
class EventHubTest : public ::testing::Test {
 protected:
  EventHubTest() {
    hub_.SetReader(
        [this](JobId job, uint64_t sequence, int64_t limit, auto reply) {
          reads_.push_back([=, this] {
            if (!error_.ok()) return reply(error_);
            std::vector<StoredEvent> page;
            for (const StoredEvent& event : stored_) {
              if (event.sequence > sequence && (job == 0 || event.job == job) &&
                  static_cast<int64_t>(page.size()) < limit) {
                page.push_back(event);
              }
            }
            reply(page);
          });
        });
  }
  void Happen(JobId job, const std::string& data = "{}") {
    stored_.push_back(
        {stored_.size() + 1, job, absl::UnixEpoch(), "state", data});
    hub_.Happened({stored_.back()});
  }
  void ReadPages() {
    for (const auto& read : std::exchange(reads_, {})) read();
  }
  std::shared_ptr<Subscription> Subscribe(JobId job, uint64_t after = 0) {
    return hub_.Subscribe(job, after, [this] { ++wakes_; });
  }
  // Sequence numbers of all there is to take.
  std::vector<uint64_t> TakeAll(Subscription& subscription) {
    std::vector<uint64_t> out;
    while (true) {
      const auto event = subscription.Take();
      EXPECT_OK(event.status());
      if (!event.ok() || *event == nullptr) return out;
      out.push_back((*event)->sequence);
    }
  }
  // With pages of the past read as they are asked for.
  std::vector<uint64_t> TakeAllReading(Subscription& subscription) {
    std::vector<uint64_t> out, some;
    do {
      some = TakeAll(subscription);
      out.insert(out.end(), some.begin(), some.end());
      if (some.empty() && reads_.empty()) return out;
      ReadPages();
    } while (true);
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> out;
    for (uint64_t i = first; i <= last; ++i) out.push_back(i);
    return out;
  }

  std::vector<StoredEvent> stored_;
  std::vector<std::function<void()>> reads_;
  absl::Status error_;
  int wakes_ = 0;
  EventHub hub_;
};

TEST_F(EventHubTest, ThePastComesFirstThenWhatHappens) {
  for (int i = 0; i < 600; ++i) Happen(1);
  const auto all = Subscribe(0);
  EXPECT_EQ(TakeAllReading(*all), Range(1, 600));
  const int wakes = wakes_;
  Happen(1);
  EXPECT_EQ(wakes_, wakes + 1);
  Happen(2);
  EXPECT_EQ(TakeAllReading(*all), Range(601, 602));
  const auto late = Subscribe(0, 601);
  EXPECT_EQ(TakeAllReading(*late), Range(602, 602));
}

TEST_F(EventHubTest, OneJobsEventsAreOneJobs) {
  for (int i = 0; i < 20; ++i) Happen(1 + i % 2);
  const auto second = Subscribe(2);
  EXPECT_EQ(TakeAllReading(*second).size(), 10);
  const int wakes = wakes_;
  Happen(1);
  EXPECT_EQ(wakes_, wakes);
  Happen(2);
  EXPECT_EQ(TakeAllReading(*second), Range(22, 22));
}

// What happens while a page is on its way is in the page, or comes after it.
TEST_F(EventHubTest, NothingIsLostOrTwiceBetweenPastAndPresent) {
  for (int i = 0; i < 300; ++i) Happen(1);
  const auto all = Subscribe(0);
  EXPECT_THAT(TakeAll(*all), IsEmpty());
  Happen(1);
  ReadPages();
  std::vector<uint64_t> seen = TakeAll(*all);
  Happen(1);
  ReadPages();
  Happen(1);
  const std::vector<uint64_t> rest = TakeAllReading(*all);
  seen.insert(seen.end(), rest.begin(), rest.end());
  EXPECT_EQ(seen, Range(1, 303));
}

TEST_F(EventHubTest, AReaderThatIsTooSlowIsToldWhereToGoOn) {
  const auto all = Subscribe(0);
  EXPECT_THAT(TakeAllReading(*all), IsEmpty());
  Happen(1);
  EXPECT_EQ(TakeAll(*all), Range(1, 1));
  for (size_t i = 0; i <= Subscription::kMostEvents; ++i) Happen(1);
  EXPECT_THAT(all->Take().status(), StatusIs(StatusCode::kResourceExhausted,
                                             HasSubstr("go on after event 1")));
  const auto again = Subscribe(0, 1);
  EXPECT_EQ(TakeAllReading(*again), Range(2, stored_.size()));
  // By bytes, too.
  const std::string large(Subscription::kMostBytes / 2 + 1, 'x');
  Happen(1, large);
  EXPECT_TRUE(again->Take().ok());
  Happen(1, large);
  Happen(1, large);
  EXPECT_THAT(again->Take().status(),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("faster")));
}

TEST_F(EventHubTest, ErrorsOfTheStoreAreTold) {
  error_ = absl::DataLossError("a row is damaged");
  const auto all = Subscribe(0);
  EXPECT_THAT(TakeAll(*all), IsEmpty());
  ReadPages();
  EXPECT_THAT(all->Take().status(),
              StatusIs(StatusCode::kDataLoss, HasSubstr("damaged")));
}

// By an event that is not stored, and has no number of its own.
TEST_F(EventHubTest, WhoWatchesIsToldThatNothingCanBeStored) {
  const auto told = [](Subscription& subscription) {
    const auto event = subscription.Take();
    EXPECT_OK(event.status());
    if (*event == nullptr) return std::string();
    return absl::StrCat((*event)->sequence, " ", (*event)->kind, " ",
                        (*event)->data);
  };
  Happen(1);
  Happen(2);
  const auto one = Subscribe(1);
  EXPECT_EQ(TakeAllReading(*one), Range(1, 1));
  const int wakes = wakes_;
  hub_.StoreChanged(absl::UnavailableError("disk \"full\""));
  EXPECT_EQ(wakes_, wakes + 1);
  EXPECT_EQ(told(*one), R"(1 store {"ok":false,"why":"disk \"full\""})");
  EXPECT_EQ(told(*one), "");
  // One that comes meanwhile reads the past first.
  const auto late = Subscribe(0);
  EXPECT_EQ(told(*late), "");
  ReadPages();
  EXPECT_EQ(told(*late), "1 state {}");
  EXPECT_EQ(told(*late), "2 state {}");
  EXPECT_THAT(told(*late), HasSubstr("2 store {\"ok\":false"));
  hub_.StoreChanged(absl::OkStatus());
  Happen(1);
  for (const auto& subscription : {one, late}) {
    EXPECT_EQ(told(*subscription), "3 state {}");
    EXPECT_EQ(told(*subscription), "3 store {\"ok\":true}");
    EXPECT_EQ(told(*subscription), "");
  }
}

TEST_F(EventHubTest, NoWakeUpComesAfterTheEnd) {
  auto all = Subscribe(0);
  EXPECT_THAT(TakeAll(*all), IsEmpty());
  all->Close();
  ReadPages();
  Happen(1);
  EXPECT_EQ(wakes_, 0);
  // And one that is gone is not looked for.
  all = nullptr;
  Happen(1);
}

}  // namespace
}  // namespace caracal
