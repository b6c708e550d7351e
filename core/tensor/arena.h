// Step memory: a stack of bytes for activations and scratch.
#ifndef CARACAL_CORE_TENSOR_ARENA_H_
#define CARACAL_CORE_TENSOR_ARENA_H_

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <new>
#include <utility>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// Memory of an arena that is not the host's.
class ArenaMemory {
 public:
  virtual ~ArenaMemory() = default;
  // Addresses [base, base + reserved).
  virtual std::byte* base() const = 0;
  virtual size_t reserved() const = 0;
  // Makes the first `bytes` of them usable (those before stay so); returns how
  // many are then, and need not be asked for again. Where memory runs out, its
  // owner knows, and sees to it that none of it is touched.
  virtual size_t Back(size_t bytes) = 0;
};

// Allocations stack up and are given back in reverse order through marks. The
// arena reserves as many addresses as the machine has memory and touches them
// as it grows, so that its plan is fixed by the first step, nothing is ever
// copied or fragmented, and no step allocates from the heap. Memory once
// touched is kept until destruction. Not thread-safe. Memory is not cleared.
class Arena {
 public:
  Arena() = default;
  // Of other memory, which goes with it.
  explicit Arena(std::unique_ptr<ArenaMemory> memory)
      : memory_(std::move(memory)),
        base_(memory_->base()),
        reserved_(memory_->reserved()) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // An arena of the same pass in other memory, or null: what is released or
  // forgotten here is there too. Borrowed.
  void set_companion(Arena* companion) { companion_ = companion; }
  Arena* companion() const { return companion_; }

  // 64-byte aligned (256 in other memory); never null; valid until released
  // past, or reset. Aborts when the host's reservation is used up; what other
  // memory does not hold is for its owner to find out.
  void* Allocate(size_t bytes);
  TensorView Allocate(DType dtype, std::initializer_list<int64_t> shape);
  TensorView AllocateF32(std::initializer_list<int64_t> shape);
  TensorView AllocateI32(std::initializer_list<int64_t> shape);
  // `bytes` of kernel scratch.
  Workspace AllocateWorkspace(size_t bytes);

  // Constructs a T here, in host memory. Its destructor is never run: T must
  // not own memory.
  template <typename T, typename... Args>
  T* New(Args&&... args) {
    return new (Allocate(sizeof(T))) T{std::forward<Args>(args)...};
  }

  // A position to return to.
  struct Mark {
    size_t used = 0;
    size_t companion_used = 0;
  };
  Mark mark() const {
    return {used_, companion_ == nullptr ? 0 : companion_->used_};
  }
  void Release(const Mark& mark);

  // Forgets everything.
  void Reset() { Release(Mark()); }

  // Bytes in use now, and the most ever in use (what a plan must hold).
  size_t used_bytes() const { return used_; }
  size_t peak_bytes() const { return peak_; }

 private:
  void Reserve();

  const std::unique_ptr<ArenaMemory> memory_;  // null: the host's
  Arena* companion_ = nullptr;
  std::byte* base_ = nullptr;
  size_t reserved_ = 0;
  size_t backed_ = 0;  // usable, of other memory
  size_t used_ = 0;
  size_t peak_ = 0;
};

// Releases what a scope allocated.
class ArenaScope {
 public:
  explicit ArenaScope(Arena* arena) : arena_(arena), mark_(arena->mark()) {}
  ~ArenaScope() { arena_->Release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena* arena_;
  Arena::Mark mark_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_TENSOR_ARENA_H_
