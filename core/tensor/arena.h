// Step memory: a stack of bytes for activations and scratch.
#ifndef CARACAL_CORE_TENSOR_ARENA_H_
#define CARACAL_CORE_TENSOR_ARENA_H_

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// Allocations stack up and are given back in reverse order through marks. The
// first step grows the arena block by block; the next Reset() merges the
// blocks into one of the size seen, so that later steps of the same shape
// allocate nothing from the heap. Not thread-safe. Memory is not cleared.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned; never null; valid until released past, or reset.
  void* Allocate(size_t bytes);
  TensorView AllocateF32(std::initializer_list<int64_t> shape);
  TensorView AllocateI32(std::initializer_list<int64_t> shape);
  // `bytes` of kernel scratch.
  Workspace AllocateWorkspace(size_t bytes);

  // Constructs a T here. Its destructor is never run: T must not own memory.
  template <typename T, typename... Args>
  T* New(Args&&... args) {
    return new (Allocate(sizeof(T))) T{std::forward<Args>(args)...};
  }

  // A position to return to.
  struct Mark {
    size_t block = 0;
    size_t offset = 0;
    size_t used = 0;
  };
  Mark mark() const { return {block_, offset_, used_}; }
  void Release(const Mark& mark);

  // Forgets everything and merges the blocks.
  void Reset();

  // Bytes in use now, and the most ever in use (what a plan must hold).
  size_t used_bytes() const { return used_; }
  size_t peak_bytes() const { return peak_; }
  size_t capacity_bytes() const;

 private:
  struct Block {
    std::unique_ptr<std::byte, void (*)(std::byte*)> data{nullptr, nullptr};
    size_t bytes = 0;
  };
  static Block NewBlock(size_t bytes);

  std::vector<Block> blocks_;
  size_t block_ = 0;   // index of the block in use
  size_t offset_ = 0;  // bytes used of it
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
