// Whether a model fits into this machine's memory, asked before anything is
// allocated.
#ifndef CARACAL_JOBS_BENCH_MEMORY_H_
#define CARACAL_JOBS_BENCH_MEMORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/io/weight_source.h"

namespace caracal {

// Bytes that this process can still take, by the kernel's estimate and the
// limits set on it (address space, control group); the largest number where
// none of them can be read.
uint64_t AvailableMemoryBytes();

// Bytes of MemAvailable in the text of /proc/meminfo; the largest number when
// it is not there.
uint64_t MemAvailable(absl::string_view meminfo);

// Bytes of all weights in fp32.
uint64_t DenseWeightBytes(const WeightSource& source);

// kResourceExhausted, naming `what`, the bytes its weights take and those that
// are available, when the weights alone do not fit.
absl::Status CheckWeightsFit(absl::string_view what, const WeightSource& source,
                             uint64_t available_bytes);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_MEMORY_H_
