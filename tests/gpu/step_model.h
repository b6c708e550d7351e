// A model of Llama's shape on random weights, as far as a training step needs
// one, sharded over tensor ranks as core/model shards it: heads with their
// feature maps, the MLP's columns and the vocabulary; the residual stream and
// its norms by rows. Every split product is followed by a reduce-scatter of
// rows, and every norm by an all-gather.
//
// The rows of a step may be cut in two chunks: then a chunk's collectives run
// under the other chunk's products.
#ifndef CARACAL_TESTS_GPU_STEP_MODEL_H_
#define CARACAL_TESTS_GPU_STEP_MODEL_H_

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/hybrid_attention/hybrid_attention_cuda.h"
#include "kernels/matmul/matmul_cuda.h"
#include "tests/gpu/step_parts.h"
#include "tests/gpu/step_ranks.h"
#include "tests/gpu/step_trained.h"

namespace caracal::kernels {

struct StepOptions {
  Shape shape;
  int64_t sequences = 8;    // of shape.length tokens, of all tensor ranks
  bool finetune = false;    // or transfer
  int chunks = 1;           // 1 or 2
  int multiprocessors = 0;  // that products use; 0: all
};

class Model {
 public:
  Model(const StepOptions& options, Ranks& ranks);

  // A step in two parts; the second may be recorded in a graph.
  void Configure(int64_t step) { trained.Configure(step); }
  void Step();

  // This rank's part of the last step's loss: nats a token, or the squared
  // error of an element. Waits for the step.
  double Loss() const;
  // Of all ranks.
  double Parameters() const;

  const StepOptions options;
  const int64_t rows;  // of all tensor ranks
  Trained trained;

 private:
  // Between two collectives of the rows of a chunk. `join` is what its rows
  // need when the sum over ranks is there: it runs in the middle of the next
  // work of the other chunk. `after` follows the last chunk's second part.
  struct Segment {
    std::function<void(int chunk)> first, second, join;
    std::function<void()> after;
  };
  void Run(const std::vector<Segment>& segments);

  void AddTransfer();
  void AddFinetune();
  void AllocateAttention();
  void Transfer();
  void Finetune();
  Segment TransferAttention(int64_t i);
  Segment FinetuneAttention(int64_t i);
  Segment Mlp(int64_t i, const std::function<void(int)>& join);
  Segment Head();
  Segment MlpBackward(int64_t i);
  Segment AttentionBackward(int64_t i);
  void HybridBackward(int64_t i);
  void OutputGradients(int64_t i, int chunk);
  void QkvGradients(int64_t i);
  void Fold(int64_t i);
  void LossOfRows(int64_t begin, int64_t n);
  void AddNorm(const Bf16& x, const Bf16& sum, TensorView y, const F32& inv,
               int chunk);
  void NormBeforeAttention(int64_t i, int chunk);
  void NormBeforeMlp(int64_t i, int chunk);
  void NormBackward(const Bf16& x, const F32& inv, int chunk, bool accumulate);

  // Rows of a chunk, of all ranks and this one's own; where they begin.
  int64_t ChunkRows() const { return rows / options.chunks; }
  int64_t OwnRows() const { return ChunkRows() / ranks.place().tensor; }
  TensorView All(const Bf16& x, int chunk, int64_t columns,
                 int64_t width = 0) const;
  TensorView Mine(const Bf16& x, int chunk, int64_t columns,
                  int64_t width = 0) const;
  // Of what holds own rows only.
  TensorView Own(const Bf16& x, int chunk) const;
  TensorView Own(const F32& x, int chunk) const;
  TensorView Columns(const Bf16& x, int chunk, int64_t begin, int64_t columns,
                     int64_t width) const;

  const Layer& Activations(int64_t i) const {
    return options.finetune ? layers[i] : *work;
  }
  int64_t Wide() const { return s.hidden + s.rank; }
  // Of y1 and qkv's weight.
  int64_t QkvWidth() const { return s.hidden + 3 * s.rank; }
  Workspace Products() const { return {products.data(), products.size()}; }
  Workspace Attention() const { return {attention.data(), attention.size()}; }
  TensorView QkvWeight(const Layer& w) const {
    return View(w.qkv_weight, s.qkv() + 3 * s.rank, QkvWidth());
  }
  TensorView OWeight(const Layer& w) const {
    return View(w.o_weight, s.hidden + s.rank, s.q() + s.rank);
  }
  // `chunk` -1: all rows. Columns of rows `width` wide, qkv's at the left.
  TensorView Q(const Bf16& x, int chunk, int64_t width) const;
  TensorView K(const Bf16& x, int chunk, int64_t width) const;
  TensorView V(const Bf16& x, int chunk, int64_t width) const;
  HybridAttentionInputs Inputs(const Bf16& qkv, int chunk) const;
  void Product(TensorView x, TensorView weight, TensorView y);
  void ProductBack(TensorView dy, TensorView weight, TensorView dx);
  void Rotate(const Bf16& qkv, int chunk, int64_t width, bool inverse);

  Ranks& ranks;
  const Context ctx;
  const Shape s;  // this rank's part
  std::deque<Layer> layers;
  std::unique_ptr<Layer> work;  // of a transfer
  MatMulCudaPlans plans;
  DeviceArray<char> products, attention;
  F32 ones, maps, factor, cos, sin;
  Bf16 input, delta, y2, h;
  DeviceArray<int32_t> positions, targets;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> terms;
  HybridAttentionConfig config;
  DeviceArray<double> error;
  // Of a fine-tune.
  Bf16 head, logits, dx, dy, da, dqkv, final_x;
  F32 final_inv, nll, own_max, row_max, sum_exp, lse, weight;
  F32 chunk_dens;             // [2, H, rows of a chunk]
  int64_t loss_rows = 0;      // whose logits exist at a time
  int tickets[2] = {-1, -1};  // of a chunk's last collective
};

// Rows whose logits, of the whole vocabulary, take what memory there is for
// them.
inline constexpr int64_t kLossRows = 2048;
inline constexpr float kLoraScale = 2;
inline constexpr float kEps = 1e-5f;
// Layers whose gradients are summed over the ranks in one go.
inline constexpr int64_t kBucketLayers = 8;

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_STEP_MODEL_H_
