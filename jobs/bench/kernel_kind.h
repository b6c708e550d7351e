// Which part of a step a kernel belongs to.
#ifndef CARACAL_JOBS_BENCH_KERNEL_KIND_H_
#define CARACAL_JOBS_BENCH_KERNEL_KIND_H_

#include <string>

namespace caracal {

// By the name of the kernel's function as the compiler mangles it: ours lie in
// an anonymous namespace that has the name of its file, of which what stands
// before "_cuda" is the kind, or, those of headers, in one of
// caracal::kernels::cuda that has the name of the kind. NCCL's are
// "collectives", all others cuBLASLt's "products".
std::string KindOfKernel(const std::string& name);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_KERNEL_KIND_H_
