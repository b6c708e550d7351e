#include "jobs/client/service/watch_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "jobs/client/service/job_words.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

class WatchViewTest : public ::testing::Test {
 protected:
  static proto::JobInfo Job() {
    proto::JobInfo job;
    job.set_id(3);
    job.set_name("tiny");
    job.set_state(proto::QUEUED);
    job.mutable_changed()->set_seconds(100);
    job.set_job(
        "stages { transfer { steps: 4 } } stages { finetune { steps: 8 } }");
    return job;
  }
  std::string Add(const std::string& kind, const std::string& data,
                  int64_t seconds = 100) {
    proto::JobEvent event;
    event.set_job(3);
    event.set_kind(kind);
    event.set_data(data);
    event.mutable_time()->set_seconds(seconds);
    return view_.Add(event);
  }
  void AddStep(int stage, int step, double loss, const std::string& more = "") {
    EXPECT_EQ(
        Add("metrics", absl::StrCat("{\"stage_index\":", stage,
                                    ",\"step\":", step, ",\"loss\":", loss,
                                    ",\"tokens_per_s\":1234.4", more, "}")),
        "");
  }
  std::string Text() {
    return absl::StrJoin(view_.Lines(console_, absl::FromUnixSeconds(110)),
                         "\n");
  }

  std::ostringstream out_, err_;
  Console console_{out_, err_};
  WatchView view_{Job()};
};

TEST_F(WatchViewTest, NothingThatAJobSaysIsObeyedByATerminal) {
  Add("state",
      R"({"state":"FAILED","because":"x","reason":"\u001b[2J\u0007\nwhy"})");
  EXPECT_THAT(Text(), HasSubstr("[2J  why"));
  EXPECT_THAT(Text(), ::testing::Not(HasSubstr("\x1b")));
}

TEST_F(WatchViewTest, SaysThatNothingCanBeStored) {
  EXPECT_THAT(Add("store", R"({"ok":false,"why":"disk full"})"),
              HasSubstr("can't store changes, and tells nothing new meanwhile: "
                        "disk full"));
  EXPECT_THAT(Add("store", R"({"ok":true})"), HasSubstr("again"));
}

TEST_F(WatchViewTest, ShowsStagesAndSeries) {
  console_.columns = [] { return 44; };
  EXPECT_EQ(
      Add("state", R"({"state":"LAUNCHING","because":"slots were free"})"),
      "launching: slots were free");
  EXPECT_EQ(Text(),
            "job 3 tiny: launching, 10 s ago\n"
            "  transfer           0/4  -----------------\n"
            "  finetune           0/8  -----------------");
  Add("state", R"({"state":"RUNNING","because":"its gang registered"})", 105);
  for (int step = 1; step <= 4; ++step) AddStep(0, step, 1.0 / step);
  AddStep(1, 1, 4, ",\"drop_probability\":0.5,\"window\":48.0");
  AddStep(1, 2, 3.5,
          ",\"drop_probability\":0.25,\"window\":32.0,\"u\":0.01,"
          "\"u_star\":0.04,\"r\":0.25,\"validation_loss\":3.25");
  EXPECT_EQ(Text(),
            "job 3 tiny: running, 5 s ago\n"
            "  transfer           4/4  #################\n"
            "  finetune           2/8  ####-------------\n"
            "  loss            3.5000  #_\n"
            "  validation      3.2500  _\n"
            "  tokens/s         1,234  ##\n"
            "  p                0.250  ~,\n"
            "  W                   32  #=\n"
            "  r = u/u*         0.250  #\n"
            "  u               0.0100  of 0.0400 nats");
  EXPECT_EQ(view_.StepLine(),
            "finetune step 2/8, loss 3.5000, validation 3.2500, 1,234 "
            "tokens/s, p 0.25, W 32");
}

TEST_F(WatchViewTest, ShowsLayersAndRanks) {
  console_.columns = [] { return 44; };
  Add("state", R"({"state":"LAUNCHING","because":"slots were free"})");
  EXPECT_EQ(Add("gang", R"({"gang":1,"hosts":["a","a","b"]})"),
            "ranks 0-1 on a, 2 on b");
  AddStep(0, 1, 1, ",\"la_mass\":[0.1,null,0.2,0.0]");
  EXPECT_THAT(Text(), HasSubstr("\n  LA mass          10.0%  ~ #_\n"
                                "  ranks                3  0-1 on a, 2 on b"));
  // Kept until it is measured again; of more layers than columns, means.
  AddStep(0, 2, 1);
  EXPECT_THAT(Text(), HasSubstr("10.0%  ~ #_"));
  std::string layers = "0.5";
  for (int i = 1; i < 34; ++i) absl::StrAppend(&layers, ",0.5");
  AddStep(0, 3, 1, absl::StrCat(",\"la_mass\":[", layers, "]"));
  EXPECT_THAT(Text(), HasSubstr("50.0%  #################\n"));
  // Another gang is somewhere else.
  Add("state", R"({"state":"LAUNCHING","because":"slots were free"})");
  EXPECT_THAT(Text(), ::testing::Not(HasSubstr("ranks")));
  EXPECT_EQ(Add("removed", R"({"from":1,"until":7})"),
            "metrics and decisions up to event 0 are no longer kept");
  EXPECT_EQ(Add("gang", "[]"), "");
}

TEST(HostWordsTest, RanksAreTakenTogether) {
  EXPECT_EQ(HostWords({}), "");
  EXPECT_EQ(HostWords({"a"}), "0 on a");
  EXPECT_EQ(HostWords({"a", "b", "a", "a"}), "0, 2-3 on a, 1 on b");
  std::vector<std::string> many;
  for (int i = 0; i < 10; ++i) many.push_back(absl::StrCat("n", i));
  EXPECT_THAT(HostWords(many), ::testing::EndsWith("7 on n7 and 2 more hosts"));
}

TEST_F(WatchViewTest, SaysWhatHappened) {
  Add("state", R"({"state":"LAUNCHING","because":"slots were free"})");
  EXPECT_EQ(Add("state", R"({"state":"RETRYING","because":"its gang was lost",)"
                         R"("reason":"rank 1 on h was lost"})"),
            "retrying: rank 1 on h was lost");
  Add("state", R"({"state":"LAUNCHING","because":"slots were free"})");
  EXPECT_THAT(Text(), HasSubstr("gang 2"));
  EXPECT_EQ(Add("tuned", R"({"drop_probability":0.6,"window":32,"by":"ann"})"),
            "tuned by ann: p = 0.6, W = 32");
  EXPECT_EQ(Add("tuned", R"({"by":"ann"})"),
            "tuned by ann: back to the curriculum");
  // What a newer coordinator may say.
  EXPECT_EQ(Add("state", R"({"state":"ASLEEP"})"), "");
  EXPECT_EQ(Add("news", "[]"), "");
  EXPECT_EQ(Add("metrics", "1"), "");
}

TEST_F(WatchViewTest, LongSeriesAreBinned) {
  StepSeries series;
  for (int i = 0; i < 1000; ++i) series.Add(i);
  const std::vector<double> bins = series.Binned(10);
  ASSERT_EQ(bins.size(), 10);
  EXPECT_EQ(bins[0], 49.5);
  EXPECT_EQ(bins[9], 949.5);
  EXPECT_EQ(series.Binned(5000).size(), 1000);
}

}  // namespace
}  // namespace caracal
