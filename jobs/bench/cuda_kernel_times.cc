// CUPTI's activity records (CUDA 13: CUpti_ActivityKernel10). The library is
// opened when it is asked for: who only trains need not have it.
#include <cupti.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/bench/kernel_kind.h"
#include "jobs/bench/kernel_times.h"

namespace caracal {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY,
                                         CUPTI_ACTIVITY_KIND_MEMSET};

struct Library {
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityGetNextRecord) next = nullptr;
};

absl::StatusOr<Library> OpenCupti() {
  void* handle = nullptr;
  for (const char* path :
       {"libcupti.so.13", "/usr/local/cuda/lib64/libcupti.so.13",
        "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so.13"}) {
    if (handle == nullptr) handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  }
  if (handle == nullptr) {
    return absl::UnimplementedError(
        "libcupti.so.13 is not here; it comes with CUDA's toolkit");
  }
  Library library;
  bool found = true;
  const auto find = [&](const char* name, auto* function) {
    *function = reinterpret_cast<std::decay_t<decltype(*function)>>(
        dlsym(handle, name));
    found = found && *function != nullptr;
  };
  find("cuptiActivityRegisterCallbacks", &library.register_callbacks);
  find("cuptiActivityEnable", &library.enable);
  find("cuptiActivityDisable", &library.disable);
  find("cuptiActivityFlushAll", &library.flush);
  find("cuptiActivityGetNextRecord", &library.next);
  if (found) return library;
  return absl::UnimplementedError("libcupti.so.13 is not CUDA 13's");
}

// Of the one measurement under way; CUPTI's callbacks get no context.
struct Measurement {
  Library library;
  std::map<std::string, KernelTime> kinds;
}* measurement = nullptr;

void Add(const std::string& kind, uint64_t start, uint64_t end) {
  KernelTime& time = measurement->kinds[kind];
  time.name = kind;
  ++time.launches;
  time.seconds += static_cast<double>(end - start) * 1e-9;
}

void CUPTIAPI GiveBuffer(uint8_t** buffer, size_t* size, size_t* most) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(64, kBufferBytes));
  *size = kBufferBytes;
  *most = 0;
}

void CUPTIAPI TakeBuffer(CUcontext, uint32_t, uint8_t* buffer, size_t,
                         size_t valid) {
  CUpti_Activity* record = nullptr;
  while (measurement != nullptr &&
         measurement->library.next(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto* kernel =
          reinterpret_cast<const CUpti_ActivityKernel10*>(record);
      Add(KindOfKernel(kernel->name), kernel->start, kernel->end);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto* copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(record);
      Add("copies", copy->start, copy->end);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      const auto* set = reinterpret_cast<const CUpti_ActivityMemset4*>(record);
      Add("copies", set->start, set->end);
    }
  }
  std::free(buffer);
}

absl::Status Check(CUptiResult result, const char* call) {
  if (result == CUPTI_SUCCESS) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(call, " failed with ", static_cast<int>(result),
                   " (another profiler may be measuring)"));
}

}  // namespace

absl::StatusOr<std::vector<KernelTime>> MeasureKernels(
    absl::FunctionRef<absl::Status()> work) {
  Measurement mine;
  ASSIGN_OR_RETURN(mine.library, OpenCupti());
  const Library& cupti = mine.library;
  RETURN_IF_ERROR(Check(cupti.register_callbacks(GiveBuffer, TakeBuffer),
                        "cuptiActivityRegisterCallbacks"));
  measurement = &mine;
  absl::Status status;
  for (const CUpti_ActivityKind kind : kKinds) {
    status.Update(Check(cupti.enable(kind), "cuptiActivityEnable"));
  }
  if (status.ok()) status = work();
  for (const CUpti_ActivityKind kind : kKinds) cupti.disable(kind);
  status.Update(Check(cupti.flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED),
                      "cuptiActivityFlushAll"));
  measurement = nullptr;
  RETURN_IF_ERROR(status);
  std::vector<KernelTime> times;
  for (auto& [name, time] : mine.kinds) times.push_back(std::move(time));
  std::sort(times.begin(), times.end(),
            [](const KernelTime& a, const KernelTime& b) {
              return a.seconds > b.seconds;
            });
  return times;
}

}  // namespace caracal
