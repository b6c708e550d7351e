#include "core/tape/tape.h"

#include <gtest/gtest.h>

#include <cmath>

namespace caracal {
namespace {

// y = factor * x, in scalars.
class Scale final : public Tape::Operation {
 public:
  Scale(Variable* x, Variable* y, float factor)
      : x_(x), y_(y), factor_(factor) {}
  void Backward(Execution& exec) override {
    x_->grad = exec.arena->AllocateF32({1});
    x_->grad.f32()[0] = factor_ * y_->grad.f32()[0];
  }

 private:
  Variable* x_;
  Variable* y_;
  float factor_;
};

TEST(Tape, RunsInReverseAndGivesScratchBack) {
  Arena arena;
  Tape tape(&arena);
  SingleProcessCollective collective;
  Execution exec{.arena = &arena, .collective = &collective, .tape = &tape};
  Variable x, y, z;
  x.grad = TensorView();
  tape.Record<Scale>(&x, &y, 3.0f);
  tape.Record<Scale>(&y, &z, 5.0f);
  z.grad = arena.AllocateF32({1});
  z.grad.f32()[0] = 2;
  tape.Backward(exec);
  EXPECT_EQ(x.grad.f32()[0], 30);

  // A second pass records afresh, with a border at its start.
  const Arena::Mark before = arena.mark();
  tape.ReleaseBackwardScratchHere();
  tape.Record<Scale>(&x, &y, 7.0f);
  y.grad = z.grad;
  const size_t used = arena.used_bytes();
  tape.Backward(exec);
  EXPECT_EQ(arena.used_bytes(), used);
  arena.Release(before);
}

TEST(Execution, NamesTheFirstNonFiniteTensor) {
  Execution exec;
  float values[3] = {1, 2, INFINITY};
  exec.CheckFinite(3, "qkv", TensorView(values, {3}));
  EXPECT_TRUE(exec.status.ok());  // Not asked to look.
  exec.check_finite = true;
  exec.CheckFinite(3, "qkv", TensorView(values, {3}));
  exec.CheckFinite(4, "y", TensorView(values, {3}));
  EXPECT_EQ(exec.status.message(), "layer 3, qkv: element 2 is inf");
}

}  // namespace
}  // namespace caracal
