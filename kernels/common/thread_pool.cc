#include "kernels/common/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>

#include "kernels/common/check.h"

namespace caracal {
namespace {

// Spins this often before a waiting thread sleeps: kernels of a step follow
// one another within microseconds, and a futex wake costs more than that.
constexpr int kSpins = 20000;

thread_local bool inside_parallel_region = false;

inline void Pause() { __builtin_ia32_pause(); }

// Fields of ThreadPool::loop_.
constexpr uint64_t kOpen = 1 << 15;
constexpr uint64_t kJoined = kOpen - 1;
uint64_t NumberOf(uint64_t loop) { return loop >> 16; }
uint64_t OpenLoop(uint64_t number) { return number << 16 | kOpen; }

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  CARACAL_CHECK(threads >= 1) << "threads " << threads;
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { WorkerLoop(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    loop_ = OpenLoop(NumberOf(loop_) + 1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Drain(int thread) {
  inside_parallel_region = true;
  for (int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
    (*fn_)(i, thread);
  }
  inside_parallel_region = false;
}

void ThreadPool::WorkerLoop(int thread) {
  uint64_t seen = 0;
  const auto is_new = [&] { return NumberOf(loop_.load()) != seen; };
  while (true) {
    for (int i = 0; i < kSpins && !is_new(); ++i) Pause();
    if (!is_new()) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, is_new);
    }
    if (stop_) return;
    uint64_t loop = loop_.load();
    seen = NumberOf(loop);
    while ((loop & kOpen) != 0 && NumberOf(loop) == seen) {
      if (!loop_.compare_exchange_weak(loop, loop + 1)) continue;
      Drain(thread);
      loop_.fetch_sub(1);
      break;
    }
  }
}

void ThreadPool::ParallelFor(int64_t count,
                             FunctionRef<void(int64_t, int)> fn) {
  if (count <= 0) return;
  if (threads_ == 1 || count == 1 || inside_parallel_region) {
    for (int64_t i = 0; i < count; ++i) fn(i, 0);
    return;
  }
  count_ = count;
  fn_ = &fn;
  next_ = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    loop_ = OpenLoop(NumberOf(loop_) + 1);
  }
  wake_.notify_all();
  Drain(0);
  // Those that joined still hold fn: wait for them. Yield now and then, since
  // the machine may have fewer cores free than this pool has threads.
  loop_.fetch_and(~kOpen);
  for (int i = 1; (loop_.load() & kJoined) != 0; ++i) {
    if (i % kSpins == 0) {
      std::this_thread::yield();
    } else {
      Pause();
    }
  }
}

void ThreadPool::ParallelRanges(int64_t count, int64_t grain,
                                FunctionRef<void(int64_t, int64_t, int)> fn) {
  CARACAL_CHECK(grain >= 1) << "grain " << grain;
  const int64_t units = (count + grain - 1) / grain;
  const int64_t parts = std::min<int64_t>(threads_, units);
  ParallelFor(parts, [&](int64_t part, int thread) {
    const int64_t begin = units * part / parts * grain;
    const int64_t end = std::min(count, units * (part + 1) / parts * grain);
    if (begin < end) fn(begin, end, thread);
  });
}

int AvailableCores() {
  cpu_set_t set;
  int cores = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  // cgroup v2: "max 100000" or "200000 100000" (quota and period, us).
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    long long quota = 0, period = 0;
    if (std::fscanf(f, "%lld %lld", &quota, &period) == 2 && period > 0) {
      cores = std::min<int>(cores, std::max<long long>(1, quota / period));
    }
    std::fclose(f);
  }
  return std::max(cores, 1);
}

}  // namespace caracal
