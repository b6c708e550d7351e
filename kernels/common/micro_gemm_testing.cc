#include "kernels/common/micro_gemm_testing.h"

#include "kernels/common/micro_gemm.h"

namespace caracal::CARACAL_SIMD_NS {

const MicroGemmFunctions kMicroGemmFunctions = {
    {{Gemm<Layout::kRows, Update::kAssign>, Gemm<Layout::kRows, Update::kAdd>},
     {Gemm<Layout::kColumns, Update::kAssign>,
      Gemm<Layout::kColumns, Update::kAdd>}},
    {RowTimesMatrix<Update::kAssign>, RowTimesMatrix<Update::kAdd>},
    DotRows,
    Transpose,
};

}  // namespace caracal::CARACAL_SIMD_NS
