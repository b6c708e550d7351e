// Carves a task's scratch memory into 64-byte aligned pieces. Run once with
// null memory, it tells how much the pieces take in all.
#ifndef CARACAL_KERNELS_COMMON_ARENA_H_
#define CARACAL_KERNELS_COMMON_ARENA_H_

#include <cstddef>
#include <cstdint>

namespace caracal::kernels::CARACAL_SIMD_NS {

class Arena {
 public:
  explicit Arena(void* memory) : base_(reinterpret_cast<uintptr_t>(memory)) {}

  template <typename T>
  T* Take(int64_t count) {
    T* piece = reinterpret_cast<T*>(base_ + used_);
    used_ += (count * sizeof(T) + 63) / 64 * 64;
    return piece;
  }
  float* Floats(int64_t count) { return Take<float>(count); }
  size_t used() const { return used_; }

 private:
  uintptr_t base_;
  size_t used_ = 0;
};

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_COMMON_ARENA_H_
