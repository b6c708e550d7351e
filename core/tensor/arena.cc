#include "core/tensor/arena.h"

#include <algorithm>

#include "core/tensor/storage.h"

namespace caracal {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmallestBlock = size_t{1} << 20;

size_t RoundUp(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Arena::Block Arena::NewBlock(size_t bytes) {
  Block block;
  block.data = {static_cast<std::byte*>(AllocateHostMemory(bytes)),
                [](std::byte* p) { FreeHostMemory(p); }};
  block.bytes = bytes;
  return block;
}

void* Arena::Allocate(size_t bytes) {
  bytes = RoundUp(std::max<size_t>(bytes, 1));
  while (block_ < blocks_.size() && offset_ + bytes > blocks_[block_].bytes) {
    ++block_;
    offset_ = 0;
  }
  if (block_ == blocks_.size()) {
    blocks_.push_back(NewBlock(std::max(bytes, kSmallestBlock)));
    offset_ = 0;
  }
  void* out = blocks_[block_].data.get() + offset_;
  offset_ += bytes;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return out;
}

TensorView Arena::AllocateF32(std::initializer_list<int64_t> shape) {
  TensorView view(nullptr, DType::kF32, shape);
  view.data = Allocate(view.size() * sizeof(float));
  return view;
}

TensorView Arena::AllocateI32(std::initializer_list<int64_t> shape) {
  TensorView view(nullptr, DType::kI32, shape);
  view.data = Allocate(view.size() * sizeof(int32_t));
  return view;
}

Workspace Arena::AllocateWorkspace(size_t bytes) {
  return {Allocate(bytes), bytes};
}

void Arena::Release(const Mark& mark) {
  CARACAL_CHECK(mark.used <= used_) << "released in the wrong order";
  block_ = mark.block;
  offset_ = mark.offset;
  used_ = mark.used;
}

void Arena::Reset() {
  if (blocks_.size() > 1) {
    // Freed first: the merged block may need the memory of the old ones.
    blocks_.clear();
    blocks_.push_back(NewBlock(peak_));
  }
  block_ = offset_ = used_ = 0;
}

size_t Arena::capacity_bytes() const {
  size_t total = 0;
  for (const Block& block : blocks_) total += block.bytes;
  return total;
}

}  // namespace caracal
