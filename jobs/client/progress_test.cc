#include "jobs/client/progress.h"

#include <gtest/gtest.h>

#include <sstream>

#include "core/base/fake_clock.h"

namespace caracal {
namespace {

class ProgressTest : public ::testing::Test {
 protected:
  void MakeTerminal(int columns) {
    console_.err_is_terminal = true;
    console_.styles = true;
    console_.columns = [columns] { return columns; };
  }

  // What was written since the last call.
  std::string Written() {
    const std::string text = err_.str();
    err_.str("");
    return text;
  }

  std::ostringstream out_, err_;
  Console console_{out_, err_};
  FakeClock clock_;
};

TEST_F(ProgressTest, WritesPlainLinesNowAndThen) {
  Progress progress(&console_, {{"transfer", 100}, {"finetune", 2}}, &clock_);
  for (int step = 1; step <= 100; ++step) {
    progress.Update(
        {.stage = 0, .step = step, .loss = 0.5, .tokens_per_s = 1234.4});
    clock_.Advance(absl::Milliseconds(500));
  }
  progress.Update({.stage = 1, .step = 1, .loss = 4, .validation_loss = 4.25});
  EXPECT_EQ(Written(),
            "transfer step 1/100, loss 0.5000, 1,234 tokens/s\n"
            "transfer step 21/100, loss 0.5000, 1,234 tokens/s, 41 s left\n"
            "transfer step 41/100, loss 0.5000, 1,234 tokens/s, 31 s left\n"
            "transfer step 61/100, loss 0.5000, 1,234 tokens/s, 21 s left\n"
            "transfer step 81/100, loss 0.5000, 1,234 tokens/s, 11 s left\n"
            "transfer step 100/100, loss 0.5000, 1,234 tokens/s, 1 s left\n"
            "finetune step 1/2, loss 4.0000, validation 4.2500, 1 s left\n");
}

TEST_F(ProgressTest, RedrawsOneLine) {
  MakeTerminal(80);
  Progress progress(&console_, {{"transfer", 32}}, &clock_);
  progress.Update({.stage = 0, .step = 0});
  EXPECT_EQ(Written(),
            "\r1/1 transfer   0/32  "
            "----------------------------------------   0%\x1b[K");
  clock_.Advance(absl::Milliseconds(50));
  progress.Update({.stage = 0, .step = 1, .loss = 0.5});
  EXPECT_EQ(Written(), "");  // too soon
  clock_.Advance(absl::Milliseconds(950));
  progress.Update({.stage = 0, .step = 16, .loss = 0.5, .tokens_per_s = 99});
  EXPECT_EQ(Written(),
            "\r1/1 transfer  16/32  "
            "##########----------  50%  loss 0.5000  1 s left  99 tok/s"
            "\x1b[K");
  progress.Finish();
  EXPECT_EQ(Written(), "\n");
  progress.Finish();
  EXPECT_EQ(Written(), "");
}

TEST_F(ProgressTest, FitsTheWidth) {
  for (const int columns : {80, 60, 40, 30, 20, 10, 1}) {
    MakeTerminal(columns);
    Progress progress(&console_, {{"transfer", 1000}}, &clock_);
    progress.Update({.stage = 0, .step = 1});
    clock_.Advance(absl::Hours(1));
    Written();
    progress.Update({.stage = 0,
                     .step = 500,
                     .loss = 1234.5,
                     .validation_loss = 3,
                     .tokens_per_s = 1e6});
    const std::string line = Written();
    EXPECT_LE(line.size(), std::max(columns - 1, 1) + 4u) << columns;
    progress.Finish();
    Written();
  }
  MakeTerminal(40);
  Progress progress(&console_, {{"transfer", 1000}}, &clock_);
  progress.Update({.stage = 0, .step = 500, .loss = 1.25, .tokens_per_s = 1e6});
  EXPECT_EQ(Written(), "\r1/1 transfer   500/1000  loss 1.2500\x1b[K");
}

TEST_F(ProgressTest, DrawsWithUnicodeWhereItMay) {
  MakeTerminal(40);
  console_.unicode = true;
  Progress progress(&console_, {{"t", 2}}, &clock_);
  progress.Update({.stage = 0, .step = 1});
  std::string bar;
  for (int i = 0; i < 11; ++i) bar += "\xE2\x94\x81";
  for (int i = 0; i < 11; ++i) bar += "\xE2\x94\x80";
  EXPECT_EQ(Written(), "\r1/1 t  1/2  " + bar + "  50%\x1b[K");
}

TEST_F(ProgressTest, KeepsFinishedStagesAndNotes) {
  MakeTerminal(30);
  {
    Progress progress(&console_, {{"a", 1}, {"b", 2}}, &clock_);
    progress.Update({.stage = 0, .step = 1});
    progress.Update({.stage = 1, .step = 0});
    progress.Note("saved");
  }
  EXPECT_EQ(Written(),
            "\r1/2 a  1/1  ############ 100%\x1b[K\n"
            "\r2/2 b  0/2  ------------   0%\x1b[K"
            "\r\x1b[Ksaved\n"
            "\r2/2 b  0/2  ------------   0%\x1b[K\n");
}

TEST_F(ProgressTest, CountsTheTimeOfStagesToCome) {
  Progress progress(&console_, {{"transfer", 10, 1}, {"finetune", 10, 3}},
                    &clock_);
  EXPECT_EQ(progress.TimeLeft(), absl::InfiniteDuration());
  // Resumed at step 4: what was done before says nothing about the speed.
  progress.Update({.stage = 0, .step = 4});
  EXPECT_EQ(progress.TimeLeft(), absl::InfiniteDuration());
  clock_.Advance(absl::Seconds(6));
  progress.Update({.stage = 0, .step = 7});
  // 2 s a unit; 3 + 30 units to go.
  EXPECT_EQ(progress.TimeLeft(), absl::Seconds(66));
  progress.Update({.stage = 1, .step = 10});
  EXPECT_EQ(progress.TimeLeft(), absl::ZeroDuration());
}

TEST_F(ProgressTest, ADumbTerminalGetsPlainLines) {
  console_.err_is_terminal = true;
  Progress progress(&console_, {{"t", 2}}, &clock_);
  progress.Update({.stage = 0, .step = 1});
  EXPECT_EQ(Written(), "t step 1/2\n");
}

}  // namespace
}  // namespace caracal
