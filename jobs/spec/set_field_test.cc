#include "jobs/spec/set_field.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "proto/job.pb.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

template <typename Message>
absl::Status Set(const char* field, const char* text, bool quoted,
                 Message* message, int index = -1) {
  return SetScalarField({text, quoted},
                        Message::descriptor()->FindFieldByName(field), index,
                        message);
}

TEST(SetFieldTest, SetsEachType) {
  proto::Job job;
  EXPECT_OK(Set("threads", "2", false, &job));
  EXPECT_OK(Set("seed", "18446744073709551615", false, &job));
  EXPECT_OK(Set("name", "n", true, &job));
  proto::TransferStage stage;
  EXPECT_OK(Set("lr", "1e-2", false, &stage));
  EXPECT_OK(Set("train_feature_maps", "false", false, &stage));
  EXPECT_OK(Set("student_mode", "la_only", false, &stage));
  EXPECT_EQ(job.threads(), 2);
  EXPECT_EQ(job.seed(), 18446744073709551615u);
  EXPECT_EQ(job.name(), "n");
  EXPECT_EQ(stage.lr(), 0.01);
  EXPECT_TRUE(stage.has_train_feature_maps());
  EXPECT_FALSE(stage.train_feature_maps());
  EXPECT_EQ(stage.student_mode(), proto::LA_ONLY);
}

TEST(SetFieldTest, WholeNumbersInOtherSpellings) {
  proto::Job job;
  for (const char* text : {"16", "0x10", "1.6e1", "16.0"}) {
    job.clear_threads();
    EXPECT_OK(Set("threads", text, false, &job));
    EXPECT_EQ(job.threads(), 16) << text;
  }
}

TEST(SetFieldTest, EnumsInAnySpelling) {
  for (const auto& [text, quoted] :
       {std::pair("HYBRID", false), {"hybrid", false}, {"Hybrid", true}}) {
    proto::TransferStage stage;
    EXPECT_OK(Set("student_mode", text, quoted, &stage));
    EXPECT_EQ(stage.student_mode(), proto::HYBRID) << text;
  }
}

TEST(SetFieldTest, AppendsAndReplaces) {
  proto::Lora lora;
  EXPECT_OK(Set("projections", "q", true, &lora));
  EXPECT_OK(Set("projections", "k", true, &lora));
  EXPECT_OK(Set("projections", "v", true, &lora, 0));
  ASSERT_EQ(lora.projections_size(), 2);
  EXPECT_EQ(lora.projections(0), "v");
}

TEST(SetFieldTest, RefusesWhatDoesNotFit) {
  const struct {
    const char* field;
    const char* text;
    bool quoted;
    const char* message;
  } kJob[] = {
      {"threads", "two", false, "expected a whole number"},
      {"threads", "1.5", false, "found '1.5'"},
      {"threads", "2147483648", false, "-2147483648 to 2147483647"},
      {"threads", "0x80000000", false, "whole number"},
      {"threads", "2", true, "found \"2\""},
      {"seed", "-1", false, "expected a whole number from 0"},
      {"name", "n", false, "expected a string in quotes, found 'n'"},
      {"name", "\xFF", true, "not valid UTF-8"},
  };
  proto::Job job;
  for (const auto& c : kJob) {
    EXPECT_THAT(
        Set(c.field, c.text, c.quoted, &job),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.text;
  }
  EXPECT_EQ(job.ByteSizeLong(), 0u);
  proto::TransferStage stage;
  for (const char* text : {"nan", "inf", "-inf", "1e999", "x"}) {
    EXPECT_THAT(Set("lr", text, false, &stage),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("expected a finite number")))
        << text;
  }
  EXPECT_THAT(Set("train_feature_maps", "yes", false, &stage),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expected true or false")));
  EXPECT_THAT(Set("student_mode", "la_onyl", false, &stage),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("did you mean 'la_only'?")));
  EXPECT_FALSE(
      Set("student_mode", "component_mode_unspecified", false, &stage).ok());
}

TEST(SetFieldTest, PrintsWhatItReads) {
  proto::TransferStage stage;
  stage.set_lr(0.01);
  stage.set_student_mode(proto::LA_ONLY);
  stage.set_train_feature_maps(true);
  const auto text = [&](const char* field) {
    return ScalarFieldText(
        stage, proto::TransferStage::descriptor()->FindFieldByName(field), -1);
  };
  EXPECT_EQ(text("lr"), "0.01");
  EXPECT_EQ(text("student_mode"), "la_only");
  EXPECT_EQ(text("train_feature_maps"), "true");
}

}  // namespace
}  // namespace caracal
