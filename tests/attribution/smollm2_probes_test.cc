// The real SmolLM2-135M-Instruct does the text probes: its prompts are ones
// that a small teacher answers, so that they can say something of a student.
//
// Tagged manual, for it needs the model: deploy/test.sh fetches it and runs
// this too.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/status_matchers.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "eval/probe/measure_probes.h"
#include "eval/report/probe_status.h"
#include "tests/model/smollm2_model.h"

namespace caracal::golden {
namespace {

TEST_F(SmolLm2Test, TeacherAnswersAndAnUntrainedStudentDoesNot) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       LoadTokenizer(std::getenv("CARACAL_SMOLLM2")));
  SetUntrained(4);
  ProbeOptions options;
  options.lengths = {256};
  options.samples = 8;
  options.modes = {ComponentMode::kTeacherSwa, ComponentMode::kHybrid,
                   ComponentMode::kSwaOnly};
  options.baseline_sinks.clear();
  ASSERT_OK_AND_ASSIGN(
      const std::vector<ProbeResult> results,
      MeasureProbes(model_->llama(), model_->exec(), *tokenizer, options));
  ASSERT_EQ(results.size(), 2);
  const ProbeResult& passkey = results[0];
  EXPECT_EQ(ShareExact(passkey, passkey.Find("teacher"), ProbeFacts::kAll).mean,
            1);
  EXPECT_GT(passkey.reach(), 0.5);
  EXPECT_LT(passkey.reach(), 1);
  for (const ProbeResult& probe : results) {
    SCOPED_TRACE(probe.probe);
    EXPECT_TRUE(TeacherCan(probe));
    ASSERT_EQ(probe.modes.size(), 4);
    // Nothing but the past knows: a window alone is left to guess.
    const Interval guess =
        ShareAmong(probe, probe.Find("teacher_swa"), ProbeFacts::kOutside);
    EXPECT_LT(guess.low, probe.chance + 0.1);
    EXPECT_NE(JudgeProbe(probe).status, ProbeStatus::kUsed);
    EXPECT_GT(JudgeProbe(probe).worth.low, 0);
  }
}

}  // namespace
}  // namespace caracal::golden
