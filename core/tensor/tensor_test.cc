#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

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

TEST(Arena, SecondRoundUsesOneBlockOfThePeak) {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    arena.Reset();
    for (int i = 0; i < 5; ++i) arena.Allocate(3 << 20);
    {
      ArenaScope scope(&arena);
      arena.Allocate(7 << 20);
    }
    if (round == 0) continue;
    EXPECT_EQ(arena.capacity_bytes(), arena.peak_bytes());
    EXPECT_EQ(arena.peak_bytes(), size_t{22} << 20);
  }
}

TEST(Arena, ReleasedBlocksAreUsedAgainBeforeTheHeap) {
  Arena arena;
  arena.Allocate(1 << 20);
  const Arena::Mark mark = arena.mark();
  arena.Allocate(5 << 20);
  const size_t capacity = arena.capacity_bytes();
  for (int i = 0; i < 10; ++i) {
    arena.Release(mark);
    arena.Allocate(5 << 20);
  }
  EXPECT_EQ(arena.capacity_bytes(), capacity);
}

}  // namespace
}  // namespace caracal
