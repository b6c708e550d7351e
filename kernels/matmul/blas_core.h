// Which processor OpenBLAS takes this one for.
#ifndef CARACAL_KERNELS_MATMUL_BLAS_CORE_H_
#define CARACAL_KERNELS_MATMUL_BLAS_CORE_H_

namespace caracal::kernels {

// OpenBLAS looks up the processor's model in a list that is as old as the
// library; one that it does not know gets its SSE kernels ("Prescott"), at an
// eighth of the speed of AVX-512. Where there is AVX2 this has it take its
// "Haswell" or "SkylakeX" kernels instead, by what the processor can do; a
// core that the environment variable OPENBLAS_CORETYPE names is left alone.
//
// To be called before the first product and before there are threads: it uses
// setenv(). Returns the name of the core that products run on.
const char* ChooseBlasCore();

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_BLAS_CORE_H_
