#include "core/tensor/storage.h"

#include <sys/mman.h>

#include <cstdlib>

#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void* AllocateHostMemory(size_t bytes) {
  const bool huge = bytes >= kHugePage;
  const size_t alignment = huge ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, rounded ? rounded : alignment);
  CARACAL_CHECK(data != nullptr) << "out of memory: " << bytes << " bytes";
  if (huge) madvise(data, rounded, MADV_HUGEPAGE);  // Only a hint.
  return data;
}

void FreeHostMemory(void* data) { std::free(data); }

}  // namespace caracal
