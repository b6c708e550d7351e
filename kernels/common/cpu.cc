#include "kernels/common/cpu.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace caracal {
namespace {

Isa Detect() {
  __builtin_cpu_init();
  // x86-64-v4 and v3 as GCC defines them; the builtins check OS support too.
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512cd")) {
    return Isa::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) {
    return Isa::kAvx2;
  }
  return Isa::kScalar;
}

Isa Initial() {
  Isa wanted = Isa::kAvx512;
  if (const char* name = std::getenv("CARACAL_ISA")) {
    if (std::strcmp(name, "scalar") == 0) wanted = Isa::kScalar;
    if (std::strcmp(name, "avx2") == 0) wanted = Isa::kAvx2;
  }
  return std::min(wanted, BestIsa());
}

std::atomic<Isa>& Current() {
  static std::atomic<Isa> isa{Initial()};
  return isa;
}

}  // namespace

const char* NameOf(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "?";
}

Isa BestIsa() {
  static const Isa best = Detect();
  return best;
}

Isa CurrentIsa() { return Current().load(std::memory_order_relaxed); }

void SetIsa(Isa isa) { Current() = std::min(isa, BestIsa()); }

}  // namespace caracal
