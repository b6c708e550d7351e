// The shares of the parameters' gradients that (sequence, head) tasks leave,
// and their sum. The order of the sum is fixed by (sequence, head), so the
// number of threads changes no bit.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_GRADIENT_PARTS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_GRADIENT_PARTS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/common/thread_pool.h"
#include "kernels/hybrid_attention/bind_args.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels {

// Sequences whose shares exist at the same time.
inline constexpr int64_t kGradientWave = 16;

// Hands out 64-byte aligned pieces of a workspace. With null memory it only
// counts: the pointers are not to be used then.
class WorkspaceCarver {
 public:
  explicit WorkspaceCarver(void* memory)
      : base_(reinterpret_cast<uintptr_t>(memory)) {}
  template <typename T>
  void Take(size_t bytes, T*& pointer) {
    pointer = reinterpret_cast<T*>(base_ + used_);
    used_ += (bytes + 63) / 64 * 64;
  }
  size_t used() const { return used_; }

 private:
  uintptr_t base_;
  size_t used_ = 0;
};

class GradientParts {
 public:
  // `wave`: sequences at a time.
  GradientParts(const HybridAttentionArgs<float>& args,
                const HybridAttentionGradients& grads, int64_t wave,
                WorkspaceCarver& carver)
      : heads_(args.heads) {
    const int64_t weight = args.D * args.F;
    const auto part = [&](TensorView total, int64_t tables, int64_t size) {
      Part p = {BindFlat(total, tables * size), tables, size, nullptr};
      if (p.total != nullptr) {
        carver.Take(wave * args.heads * size * sizeof(float), p.data);
      }
      return p;
    };
    parts_[0] = part(grads.dweight_q, args.maps, weight);
    parts_[1] = part(grads.dweight_k, args.maps, weight);
    parts_[2] = part(grads.dbias_q, args.maps, args.F);
    parts_[3] = part(grads.dbias_k, args.maps, args.F);
    parts_[4] = part(grads.dwindow_factor, args.heads, 1);
  }

  // Where the task of sequence `slot` of the wave leaves its share.
  void Assign(int64_t slot, int64_t head,
              HybridAttentionBackwardTask<float>& task) const {
    task.dweight_q = At(0, slot, head);
    task.dweight_k = At(1, slot, head);
    task.dbias_q = At(2, slot, head);
    task.dbias_k = At(3, slot, head);
    task.dwindow_factor = At(4, slot, head);
  }

  // Adds the shares of the wave's first `slots` sequences to the totals.
  void Add(ThreadPool& pool, int64_t slots) const {
    for (const Part& part : parts_) {
      if (part.total == nullptr) continue;
      const int64_t heads = heads_ / part.tables;
      pool.ParallelFor(part.tables, [&](int64_t table, int) {
        float* total = part.total + table * part.size;
        for (int64_t j = 0; j < slots * heads; ++j) {
          const int64_t head = table * heads + j % heads;
          const float* from =
              part.data + (j / heads * heads_ + head) * part.size;
          for (int64_t i = 0; i < part.size; ++i) total[i] += from[i];
        }
      });
    }
  }

 private:
  struct Part {
    // [tables, size], the caller's; null: not wanted. One table: of all heads.
    float* total = nullptr;
    int64_t tables = 0, size = 0;
    float* data = nullptr;  // [wave, H, size]
  };

  float* At(int part, int64_t slot, int64_t head) const {
    const Part& p = parts_[part];
    return p.total == nullptr ? nullptr
                              : p.data + (slot * heads_ + head) * p.size;
  }

  int64_t heads_;
  Part parts_[5];
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_GRADIENT_PARTS_H_
