// What attention remembers of the past while decoding.
#ifndef CARACAL_CORE_MODEL_ATTENTION_CACHE_H_
#define CARACAL_CORE_MODEL_ATTENTION_CACHE_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/model/ops/layer.h"
#include "core/tensor/tensor.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

// One layer of one sequence. Not thread-safe.
class AttentionCache {
 public:
  virtual ~AttentionCache() = default;
  // Attention of the next rows: qkv [rows, (H + 2 Hkv) D], RoPE applied ->
  // y [rows, H D]; takes the rows' keys and values into the cache.
  virtual void Attend(Execution& exec, const LayerContext& layer,
                      TensorView qkv, TensorView y) = 0;
  virtual int64_t length() const = 0;  // tokens seen
  virtual size_t bytes() const = 0;
  virtual void Reset() = 0;
};

// The window's and the sinks' keys and values, and the linear state: grows
// with the text until the window is full, then stays. With a window as
// LoLCATs' code has it, the first rows are a whole prompt and those that follow
// come one by one, with a sliding window.
class HybridCache final : public AttentionCache {
 public:
  // `terms`: kernels::Terms of each head, [H]; copied.
  HybridCache(const LayerContext& layer, const uint8_t* terms);
  void Attend(Execution& exec, const LayerContext& layer, TensorView qkv,
              TensorView y) override;
  int64_t length() const override { return length_; }
  size_t bytes() const override;
  void Reset() override;

 private:
  // A row, or a piece of text, after those in the cache.
  void AttendOn(Execution& exec, const kernels::HybridAttentionConfig& config,
                const kernels::HybridAttentionInputs& in, TensorView y);
  void Append(const QkvViews& rows);
  // Room for `count` more rows behind those a coming window can reach.
  void MakeRoom(int64_t count);
  // Keys held that the next row's window can reach.
  int64_t kept_rows() const { return std::min(past_rows_, length_); }

  int64_t past_rows_;  // keys before a row that its window can reach
  int64_t sinks_;
  int64_t end_ = 0;  // rows used of keys_ and values_
  int64_t length_ = 0;
  std::vector<uint8_t> terms_;      // [H]
  Tensor keys_, values_;            // [capacity, Hkv, D]
  Tensor sink_keys_, sink_values_;  // [capacity, Hkv, D]
  Tensor state_, state_norm_;       // [1, H, Fout, D], [1, H, Fout]
};

// All keys and values: full softmax attention. Grows by doubling.
class FullCache final : public AttentionCache {
 public:
  void Attend(Execution& exec, const LayerContext& layer, TensorView qkv,
              TensorView y) override;
  int64_t length() const override { return length_; }
  size_t bytes() const override;
  void Reset() override { length_ = 0; }

 private:
  void Append(const QkvViews& rows);

  int64_t length_ = 0;
  Tensor keys_, values_;  // [capacity, Hkv, D]
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_ATTENTION_CACHE_H_
