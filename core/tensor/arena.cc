#include "core/tensor/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace caracal {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kOtherAlignment = 256;
constexpr size_t kSmallestReservation = size_t{1} << 30;

size_t RoundUp(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

Arena::~Arena() {
  if (memory_ == nullptr && base_ != nullptr) munmap(base_, reserved_);
}

void Arena::Reserve() {
  const size_t physical = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) *
                          static_cast<size_t>(sysconf(_SC_PAGESIZE));
  // Addresses only; a system that counts them (strict overcommit, a limit on
  // address space) may give fewer.
  for (reserved_ = std::max(physical, kSmallestReservation);; reserved_ /= 2) {
    void* base = mmap(nullptr, reserved_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base != MAP_FAILED) {
      base_ = static_cast<std::byte*>(base);
      break;
    }
    CARACAL_CHECK(reserved_ > kSmallestReservation / 16)
        << "no address space for step memory";
  }
  madvise(base_, reserved_, MADV_HUGEPAGE);  // Only a hint.
}

void* Arena::Allocate(size_t bytes) {
  if (base_ == nullptr) Reserve();
  bytes = RoundUp(std::max<size_t>(bytes, 1),
                  memory_ == nullptr ? kAlignment : kOtherAlignment);
  if (memory_ != nullptr && bytes > reserved_ - used_) {
    // Never there: its owner finds that out now, and nobody touches it.
    memory_->Back(reserved_ + bytes);
    return base_;
  }
  CARACAL_CHECK(bytes <= reserved_ - used_)
      << "out of step memory: " << bytes << " bytes wanted, " << used_ << " of "
      << reserved_ << " in use; try a smaller micro-batch";
  void* out = base_ + used_;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  if (memory_ != nullptr && used_ > backed_) backed_ = memory_->Back(used_);
  return out;
}

TensorView Arena::Allocate(DType dtype, std::initializer_list<int64_t> shape) {
  TensorView view(nullptr, dtype, shape);
  view.data = Allocate(view.size() * SizeOf(dtype));
  return view;
}

TensorView Arena::AllocateF32(std::initializer_list<int64_t> shape) {
  return Allocate(DType::kF32, shape);
}

TensorView Arena::AllocateI32(std::initializer_list<int64_t> shape) {
  return Allocate(DType::kI32, shape);
}

Workspace Arena::AllocateWorkspace(size_t bytes) {
  return {Allocate(bytes), bytes};
}

void Arena::Release(const Mark& mark) {
  CARACAL_CHECK(mark.used <= used_) << "released in the wrong order";
  used_ = mark.used;
  if (companion_ != nullptr) companion_->Release({mark.companion_used, 0});
}

}  // namespace caracal
