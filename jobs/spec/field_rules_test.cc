#include "jobs/spec/field_rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "jobs/spec/field_table.h"
#include "proto/job.pb.h"

namespace caracal {
namespace {

using ::google::protobuf::Descriptor;
using ::testing::ElementsAre;

// Every field of every message of job.proto.
std::set<std::string> AllFields() {
  std::set<std::string> fields;
  const std::function<void(const Descriptor*)> visit =
      [&](const Descriptor* d) {
        for (int i = 0; i < d->field_count(); ++i) {
          fields.insert(RuleName(d->field(i)));
        }
        for (int i = 0; i < d->nested_type_count(); ++i)
          visit(d->nested_type(i));
      };
  const auto* file = proto::Job::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    visit(file->message_type(i));
  }
  return fields;
}

TEST(FieldRulesTest, TheTableHasExactlyTheFieldsOfAJob) {
  std::multiset<std::string> rules;
  for (const FieldRule& rule : FieldTable()) rules.insert(rule.field);
  const std::set<std::string> fields = AllFields();
  EXPECT_THAT(rules, ::testing::ElementsAreArray(fields));
}

TEST(FieldRulesTest, AnyTextBecomesAFolderName) {
  EXPECT_EQ(AsFolderName("lolcats-2"), "lolcats-2");
  EXPECT_EQ(AsFolderName("my job"), "my_job");
  EXPECT_EQ(AsFolderName("../x"), "_.._x");
  EXPECT_EQ(AsFolderName("-rf"), "_-rf");
  for (const std::string& text :
       {std::string(), std::string(".."), std::string("\0a/b", 4),
        std::string("gr\xC3\xB6\xC3\x9F"
                    "e"),
        std::string(300, '-')}) {
    EXPECT_TRUE(IsFolderName(AsFolderName(text))) << text;
  }
}

TEST(FieldRulesTest, DefaultsKeepTheirOwnRules) {
  proto::Job job;
  job.add_stages()->mutable_transfer();
  proto::FinetuneStage* finetune = job.add_stages()->mutable_finetune();
  finetune->mutable_curriculum()->mutable_closed_loop();
  finetune->mutable_early_stop();
  finetune->mutable_schedule()->mutable_cosine();
  job.mutable_stages(0)
      ->mutable_transfer()
      ->mutable_schedule()
      ->mutable_plateau();
  FillDefaults(&job);
  EXPECT_EQ(job.attention().window(), 64);
  EXPECT_EQ(job.stages(0).transfer().lr(), 0.01);
  EXPECT_EQ(job.stages(0).transfer().schedule().plateau().floor(), 1e-5);
  EXPECT_EQ(finetune->lr(), 1e-4);
  EXPECT_EQ(finetune->curriculum().granularity(),
            proto::Curriculum::SAMPLE_LAYER);
  EXPECT_THAT(job.lora().projections(), ElementsAre("q", "k", "v", "o"));
  std::vector<Problem> problems;
  CheckFieldRules(job, "", &problems);
  EXPECT_TRUE(problems.empty()) << problems[0].ToString();
}

TEST(FieldRulesTest, FillKeepsWhatIsSet) {
  proto::Job job;
  job.mutable_attention()->set_window(7);
  job.mutable_checkpoint()->set_keep_best(false);
  job.mutable_lora()->add_projections("v");
  FillDefaults(&job);
  EXPECT_EQ(job.attention().window(), 7);
  EXPECT_FALSE(job.checkpoint().keep_best());
  EXPECT_THAT(job.lora().projections(), ElementsAre("v"));
}

TEST(FieldRulesTest, ClearUndoesFill) {
  proto::Job job;
  job.mutable_attention()->set_window(7);
  job.mutable_lora()->add_projections("v");
  const proto::Job original = job;
  FillDefaults(&job);
  ClearDefaults(&job);
  EXPECT_EQ(job.attention().ByteSizeLong(),
            original.attention().ByteSizeLong());
  EXPECT_EQ(job.lora().ByteSizeLong(), original.lora().ByteSizeLong());
  EXPECT_EQ(job.optimizer().ByteSizeLong(), 0u);
}

TEST(FieldRulesTest, ReportsRangesAndNames) {
  proto::Job job;
  job.mutable_attention()->set_window(0);
  job.mutable_attention()->set_gamma_init(1);
  job.mutable_attention()->set_feature_map("hedghog");
  job.mutable_lora()->add_projections("q");
  job.mutable_lora()->add_projections("z");
  job.mutable_optimizer()->set_beta1(1);
  job.mutable_optimizer()->set_grad_clip(-1);
  job.add_stages()->mutable_transfer()->set_lr(0);
  job.mutable_stages(0)->mutable_transfer()->set_student_mode(proto::TEACHER);
  std::vector<Problem> problems;
  CheckFieldRules(job, "", &problems);
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(problem.ToString());
  EXPECT_THAT(
      lines,
      ElementsAre(
          "stages[0].transfer.lr: is 0, must be above 0 and at most 10",
          "stages[0].transfer.student_mode: there is no 'teacher' "
          "here; expected one of hybrid, la_only, la_past",
          "attention.window: is 0, must be 1 to 1048576",
          "attention.feature_map: there is no 'hedghog' here; expected "
          "one of hedgehog, exp, t2r, elu1, identity, hedgehog_fla; did you "
          "mean 'hedgehog'?",
          "attention.gamma_init: is 1, must be above 0 and below 1",
          "lora.projections[1]: there is no 'z' here; expected one "
          "of q, k, v, o, gate, up, down; did you mean 'q'?",
          "optimizer.beta1: is 1, must be at least 0 and below 1",
          "optimizer.grad_clip: is -1, must be at least 0"));
}

}  // namespace
}  // namespace caracal
