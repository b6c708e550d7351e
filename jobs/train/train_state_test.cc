#include "jobs/train/train_state.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using testing::HasSubstr;

TEST(TrainState, RoundTripIsExact) {
  TrainState state;
  state.stage_index = 1;
  state.step = 17;
  state.global_step = 49;
  state.next_sample = 196;
  state.optimizer_steps = 17;
  state.plateau.factor = 0.1 * 0.1;
  state.plateau.best = 3.9243172645568848;
  state.plateau.bad_validations = 4;
  ASSERT_OK_AND_ASSIGN(const TrainState back,
                       TrainStateFromJson(TrainStateToJson(state)));
  EXPECT_EQ(back.stage_index, 1);
  EXPECT_EQ(back.step, 17);
  EXPECT_EQ(back.global_step, 49);
  EXPECT_EQ(back.next_sample, 196);
  EXPECT_EQ(back.optimizer_steps, 17);
  EXPECT_EQ(back.plateau.factor, state.plateau.factor);
  EXPECT_EQ(back.plateau.best, state.plateau.best);
  EXPECT_EQ(back.plateau.bad_validations, 4);
  EXPECT_EQ(back.best_validation, state.best_validation);  // infinity
}

TEST(TrainState, NamesWhatIsWrong) {
  EXPECT_THAT(TrainStateFromJson("[]"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("object")));
  EXPECT_THAT(TrainStateFromJson("{\"stage_index\": 0}"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'step'")));
  std::string text = TrainStateToJson(TrainState());
  text.replace(text.find("\"next_sample\":0"), 15, "\"next_sample\":-1");
  EXPECT_THAT(TrainStateFromJson(text),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("negative")));
}

}  // namespace
}  // namespace caracal
