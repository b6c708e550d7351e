// Memory that tensors own.
#ifndef CARACAL_CORE_TENSOR_STORAGE_H_
#define CARACAL_CORE_TENSOR_STORAGE_H_

#include <cstddef>

namespace caracal {

// 64-byte aligned host memory; sizes of a megabyte and more come in huge pages
// where the system has them (fewer page faults and TLB misses). Not cleared.
// Aborts when the machine is out of memory.
void* AllocateHostMemory(size_t bytes);
void FreeHostMemory(void* data);

}  // namespace caracal

#endif  // CARACAL_CORE_TENSOR_STORAGE_H_
