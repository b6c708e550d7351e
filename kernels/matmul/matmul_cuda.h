// Matrix products on a CUDA device, by cuBLASLt: the contract of matmul.h,
//     C = alpha op(A) op(B) + beta C
// with these differences.
//  - a and b are bf16, c is bf16 or fp32; products accumulate in fp32, long
//    ones' parts too, and C is rounded. Before a bf16 C is added (beta not 0),
//    some algorithms round the product as well. All are device memory; starts
//    and row strides that are multiples of 16 bytes are fastest. K >= 1.
//  - The call does not wait for the device, nor allocate device memory. For a
//    new shape it asks cuBLASLt for an algorithm, on the host.
//  - Same inputs, same plan, same bits.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_CUDA_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_CUDA_H_

#include <memory>

#include "kernels/matmul/matmul.h"

namespace caracal::kernels {

// For the current device: the algorithm chosen for each shape, layout and type
// so far. Not thread-safe: one for each thread that enqueues. All of a device
// share one handle of cuBLASLt.
class MatMulCudaPlans {
 public:
  // Algorithms are chosen to run on so many multiprocessors, and to leave the
  // device's others to what runs beside them (a collective); 0: on all.
  // `choice`: which of those that cuBLASLt names for a shape, best first by its
  // own model (0 to 15), or the last if it names fewer.
  explicit MatMulCudaPlans(int multiprocessors = 0, int choice = 0);
  ~MatMulCudaPlans();
  MatMulCudaPlans(const MatMulCudaPlans&) = delete;
  MatMulCudaPlans& operator=(const MatMulCudaPlans&) = delete;

  size_t size() const;
  // Which choice the newest shape has: `choice`, or less.
  int newest_choice() const;

  struct Cache;
  Cache& cache() { return *cache_; }

 private:
  std::unique_ptr<Cache> cache_;
};

// What Hopper's fastest algorithms ask for; less (or none) leaves others.
inline constexpr size_t kMatMulCudaWorkspaceBytes = size_t{32} << 20;

// `workspace` may be used by one product at a time (on one stream); a plan
// belongs to its size. `add`, where defined, is what beta multiplies in place
// of C: of C's type, shape and stride.
void MatMulCuda(const Context& ctx, MatMulCudaPlans& plans, Transpose ta,
                Transpose tb, float alpha, ConstTensorView a, ConstTensorView b,
                float beta, TensorView c, Workspace workspace,
                ConstTensorView add = {});

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_CUDA_H_
