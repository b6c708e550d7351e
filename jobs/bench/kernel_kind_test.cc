#include "jobs/bench/kernel_kind.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(KindOfKernelTest, OursAreNamedAfterTheirFile) {
  EXPECT_EQ(
      KindOfKernel("_ZN7caracal7kernels4cuda72_GLOBAL__N__154e8914_39_hybrid_"
                   "attention_cuda_hopper_forward_cu_b4c0c64811ForwardRowsILi64"
                   "EEEvNS1_4ArgsE"),
      "hybrid_attention");
  EXPECT_EQ(KindOfKernel("_ZN7caracal7kernels43_GLOBAL__N__0a1b2c3d_13_adamw_"
                         "cuda_cu_01234567_89104StepENS0_5TableE"),
            "adamw");
  EXPECT_EQ(
      KindOfKernel("_ZN7caracal7kernels4cuda4rows72_GLOBAL__N__154e8914_39_"
                   "hybrid_attention_cuda_hopper_forward_cu_b4c0c64811ForwardRo"
                   "wsILi64EEEvNS1_4ArgsE"),
      "hybrid_attention");
  EXPECT_EQ(KindOfKernel("_ZN7caracal7kernels47_GLOBAL__N__0a1b2c3d_14_cuda_"
                         "upload_cu_944d51815StoreENS1_5BytesE"),
            "cuda_upload");
}

TEST(KindOfKernelTest, OursAreNamedAfterTheirNamespace) {
  EXPECT_EQ(KindOfKernel("_ZN7caracal7kernels4cuda11weight_loss8KeyTilesILi16"
                         "EEEvNS2_7ProblemEf"),
            "weight_loss");
}

TEST(KindOfKernelTest, TheLibraries) {
  EXPECT_EQ(KindOfKernel("nvjet_sm90_tst_256x128_64x4_2x1_v_bz_coopB_TNN"),
            "products");
  EXPECT_EQ(KindOfKernel("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL"),
            "collectives");
}

}  // namespace
}  // namespace caracal
