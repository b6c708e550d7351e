#include "core/tape/tape.h"

namespace caracal {

class Tape::ReleaseScratch final : public Tape::Operation {
 public:
  explicit ReleaseScratch(Tape* tape) : tape_(tape) {}
  void Backward(Execution& exec) override {
    exec.arena->Release(tape_->backward_base_);
  }

 private:
  Tape* tape_;
};

void Tape::ReleaseBackwardScratchHere() { Record<ReleaseScratch>(this); }

void Tape::Backward(Execution& exec) {
  backward_base_ = arena_->mark();
  for (Operation* op = last_; op != nullptr; op = op->previous_) {
    op->Backward(exec);
  }
  last_ = nullptr;
}

}  // namespace caracal
