// A frozen weight matrix, in whichever form it is kept.
#ifndef CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_
#define CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/io/weight_source.h"
#include "core/tape/execution.h"
#include "core/tensor/tensor.h"

namespace caracal {

// Elements from row to row of a bf16 matrix on a device whose rows have room
// behind their columns (more than none): room moves rows off the lines of
// memory where most models' lie, and the copy engine, which brings 128 bytes of
// a row at a time, wants them back.
inline int64_t StrideWithRoom(int64_t columns, int64_t room) {
  constexpr int64_t kLine = 64;  // 128 bytes
  return (columns + room + kLine - 1) / kLine * kLine;
}

// W [out, in]: dense fp32, or blocks as they are encoded in the model's file,
// or dense bf16 on a device. Immutable after loading (but for the room of a
// device's); thread-safe to read; copies share the memory. Blocks may lie in
// the file of the WeightSource they came from: keep that as long.
class LinearWeight {
 public:
  LinearWeight() = default;
  // Dense fp32 [out, in], unit column stride.
  explicit LinearWeight(Tensor dense);
  // On a device: bf16 [out + room, in + room or more], W to the top left and
  // zeros in the rest. The room is for adapters that passes fold into it
  // (kernels/lora/lora_cuda.h); columns beyond it keep rows at multiples of a
  // line.
  LinearWeight(Tensor folded, int64_t in, int64_t room);
  // Encoded matrices of equal width, one below the other.
  explicit LinearWeight(std::vector<EncodedMatrix> parts);

  int64_t out_features() const { return out_; }
  int64_t in_features() const { return in_; }
  bool defined() const { return out_ > 0; }

  // y = beta * y + x W^T.  x [rows, in], y [rows, out], fp32.
  void MultiplyTransposed(Execution& exec, ConstTensorView x, float beta,
                          TensorView y) const;

  // y[i] = W[ids[i] - first_row], zeros for rows that are not here: token
  // embeddings. ids int32 [rows], y [rows, in].
  void Gather(Execution& exec, ConstTensorView ids, int64_t first_row,
              TensorView y) const;

  // The whole matrix, fp32 or on a device bf16; training needs it. CHECKs that
  // it is dense.
  ConstTensorView dense() const;

  // On a device, with its room: [out + room, in + room].
  TensorView folded() const { return folded_; }
  int64_t room() const { return room_; }

 private:
  int64_t out_ = 0, in_ = 0, room_ = 0;
  Tensor dense_, folded_;
  std::shared_ptr<const std::vector<EncodedMatrix>> parts_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_
