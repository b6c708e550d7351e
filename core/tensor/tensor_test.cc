#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/tensor/arena.h"

namespace caracal {
namespace {

TEST(Tensor, AliasKeepsMemoryAlive) {
  Tensor part;
  {
    Tensor whole = Tensor::Zeros(DType::kF32, {4, 8});
    whole.f32()[16] = 3;
    part = whole.Alias(TensorView(whole.f32() + 16, {8}));
  }
  EXPECT_EQ(part.f32()[0], 3);
  EXPECT_EQ(part.size(), 8);
}

TEST(Arena, StacksAlignsAndReleases) {
  Arena arena;
  void* a = arena.Allocate(10);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0u);
  const Arena::Mark mark = arena.mark();
  void* b = arena.Allocate(100);
  arena.Release(mark);
  EXPECT_EQ(arena.Allocate(100), b);
}

TEST(Arena, EveryRoundUsesTheSameMemory) {
  Arena arena;
  void* first = nullptr;
  for (int round = 0; round < 3; ++round) {
    arena.Reset();
    void* p = arena.Allocate(3 << 20);
    if (round == 0) first = p;
    EXPECT_EQ(p, first);
    {
      ArenaScope scope(&arena);
      std::memset(arena.Allocate(7 << 20), 1, 7 << 20);
    }
    EXPECT_EQ(arena.used_bytes(), size_t{3} << 20);
    EXPECT_EQ(arena.peak_bytes(), size_t{10} << 20);
  }
}

TEST(ArenaDeathTest, SaysWhatDoesNotFit) {
  Arena arena;
  EXPECT_DEATH(arena.Allocate(size_t{1} << 60), "out of step memory");
}

}  // namespace
}  // namespace caracal
