// What a step trains: parameters, gradients, moments and their optimizer, of
// the tensors and parts of tensors that a rank holds.
#ifndef CARACAL_TESTS_GPU_STEP_TRAINED_H_
#define CARACAL_TESTS_GPU_STEP_TRAINED_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "kernels/adamw/adamw_cuda.h"
#include "tests/gpu/step_parts.h"
#include "tests/gpu/step_ranks.h"

namespace caracal::kernels {

// Tensors are numbered as they were added. Those that every tensor rank holds
// whole lie at the end of the memory; of these each rank's gradient is a part
// of a sum.
class Trained {
 public:
  explicit Trained(Ranks& ranks) : ranks_(ranks) {}

  // This rank's block of a [rows, columns] matrix.
  void Add(int64_t rows, int64_t columns, const Block& block);
  // After the last Add: random numbers, the same on every layout.
  void Allocate();

  TensorView Param(size_t i, std::initializer_list<int64_t> shape) const {
    return TensorView(param_.data() + parts_[i].offset, shape);
  }
  TensorView Grad(size_t i, std::initializer_list<int64_t> shape) const {
    return TensorView(grad_.data() + parts_[i].offset, shape);
  }

  void Zero() const;
  // Gradients of the tensors [begin, end) are complete but for other ranks'
  // parts: adds these, beside what the stream does next.
  void AddRanks(size_t begin, size_t end);
  // The rates of a step: before what may be a graph.
  void Configure(int64_t step);
  // Waits for AddRanks; clips and steps.
  void Step();

  // Copies this rank's part of the gradients to where they lie among all.
  void GradientTo(std::vector<float>* all) const;
  int64_t full_size() const { return full_; }
  // Where tensor i begins among all.
  int64_t full_offset(size_t i) const { return parts_[i].full_offset; }
  size_t size() const { return parts_.size(); }

 private:
  struct Part {
    int64_t full_offset, full_columns;
    Block block;
    bool everywhere;
    int64_t offset = 0;  // elements, in this rank's memory
    int64_t size() const { return block.rows * block.columns; }
  };
  struct Table {
    DeviceArray<char> memory;
    AdamWCudaTable table;
    int64_t tensors = 0;
  };

  Ranks& ranks_;
  std::vector<Part> parts_;
  int64_t full_ = 0, total_ = 0;
  F32 param_, grad_, m_, v_;
  Table tables_[2];  // [1]: those that every rank holds whole
  DeviceArray<char> sums_{SumOfSquaresCudaWorkspaceBytes()};
  DeviceArray<double> squares_;
  DeviceArray<AdamWCudaClip> clip_{1};
  std::vector<int> tickets_;
};

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_STEP_TRAINED_H_
