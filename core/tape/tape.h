// Reverse-mode differentiation over coarse operations with hand-written
// gradients: a layer is four of them, not forty.
#ifndef CARACAL_CORE_TAPE_TAPE_H_
#define CARACAL_CORE_TAPE_TAPE_H_

#include <utility>

#include "core/tape/execution.h"
#include "core/tensor/arena.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// A value that operations pass on, living in the step's arena. `grad` is
// undefined until the first consumer's Backward ran; each operation states
// whether it assigns to or accumulates in its inputs' gradients.
struct Variable {
  TensorView value;
  TensorView grad;
  // False where nothing before this value is trained: no gradient is made.
  bool needs_grad = true;
};

// Records operations of one forward pass and runs their gradients in reverse.
// Nodes lie in the arena: recording allocates nothing from the heap. Belongs
// to one thread.
class Tape {
 public:
  // One recorded operation. Its destructor is never run: members must not own
  // memory.
  class Operation {
   public:
    virtual void Backward(Execution& exec) = 0;

   protected:
    ~Operation() = default;

   private:
    friend class Tape;
    Operation* previous_ = nullptr;
  };

  explicit Tape(Arena* arena) : arena_(arena) {}

  template <typename Op, typename... Args>
  void Record(Args&&... args) {
    Op* op = arena_->New<Op>(std::forward<Args>(args)...);
    op->previous_ = last_;
    last_ = op;
  }

  // Where backward arrives here, it frees the scratch that the operations
  // after this point took for their gradients: call it at a layer's start.
  // Gradients that must cross the border (the residual stream's) are
  // allocated before Backward() is called.
  void ReleaseBackwardScratchHere();

  // Runs all gradients, last operation first, and forgets the operations.
  void Backward(Execution& exec);

 private:
  class ReleaseScratch;

  Arena* arena_;
  Operation* last_ = nullptr;
  Arena::Mark backward_base_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_TAPE_TAPE_H_
