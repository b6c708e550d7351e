// Which instruction set the CPU kernels use, chosen at run time.
#ifndef CARACAL_KERNELS_COMMON_CPU_H_
#define CARACAL_KERNELS_COMMON_CPU_H_

namespace caracal {

// kScalar runs the scalar references: slow, but any x86-64 works.
enum class Isa { kScalar, kAvx2, kAvx512 };

// "scalar", "avx2", "avx512".
const char* NameOf(Isa isa);

// What this CPU and operating system support.
Isa BestIsa();

// The path kernels take: BestIsa(), or what the environment variable
// CARACAL_ISA or SetIsa asked for, whichever is lower.
Isa CurrentIsa();

// For tests and benchmarks. Not while a kernel runs on another thread.
void SetIsa(Isa isa);

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_CPU_H_
