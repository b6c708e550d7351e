// Runs a fuzzer's entry on given files and on mutations of them that fixed
// seeds choose: the regression test of a fuzzer, without libFuzzer. Each input
// ends where an unreadable page begins, so that reading beyond it crashes in
// any build.
//
// Usage: replay FILE...
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "kernels/common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutationsOfEach = 2000;
constexpr size_t kMaxBytes = 1 << 16;  // inputs are cut to this

class GuardedBuffer {
 public:
  GuardedBuffer() : page_(sysconf(_SC_PAGESIZE)) {
    bytes_ = (kMaxBytes + page_ - 1) / page_ * page_;
    void* memory = mmap(nullptr, bytes_ + page_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CARACAL_CHECK(memory != MAP_FAILED);
    start_ = static_cast<uint8_t*>(memory);
    CARACAL_CHECK(mprotect(start_ + bytes_, page_, PROT_NONE) == 0);
  }
  ~GuardedBuffer() { munmap(start_, bytes_ + page_); }

  void Run(const std::string& input) {
    uint8_t* data = start_ + bytes_ - input.size();
    std::memcpy(data, input.data(), input.size());
    LLVMFuzzerTestOneInput(data, input.size());
  }

 private:
  const size_t page_;
  size_t bytes_;
  uint8_t* start_;
};

// One to four changes: flipped bits, telling values of 1 to 8 bytes,
// truncation, a moved piece.
std::string Mutate(std::string input, std::mt19937& random) {
  static constexpr uint64_t kTelling[] = {0,
                                          1,
                                          0x7f,
                                          0x80,
                                          0xff,
                                          0x7fffffff,
                                          0x80000000,
                                          0xffffffff,
                                          0x7fffffffffffffff,
                                          0x8000000000000000,
                                          0xffffffffffffffff};
  const int changes = 1 + random() % 4;
  for (int i = 0; i < changes && !input.empty(); ++i) {
    // Mostly near the start, where the headers are.
    const size_t range =
        random() % 4 == 0 ? input.size() : std::min<size_t>(input.size(), 512);
    const size_t at = random() % range;
    switch (random() % 5) {
      case 0:
        input[at] ^= 1 << (random() % 8);
        break;
      case 1:
        input[at] = random() & 0xff;
        break;
      case 2: {
        const uint64_t value = kTelling[random() % std::size(kTelling)];
        const size_t width = size_t{1} << (random() % 4);
        std::memcpy(&input[at], &value, std::min(width, input.size() - at));
        break;
      }
      case 3:
        if (random() % 4 == 0) input.resize(at);
        break;
      case 4: {
        const size_t length =
            std::min<size_t>(random() % 64, input.size() - at);
        input.insert(random() % range, input.substr(at, length));
        break;
      }
    }
  }
  if (input.size() > kMaxBytes) input.resize(kMaxBytes);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  CARACAL_CHECK(argc > 1) << "no corpus files given";
  GuardedBuffer buffer;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    CARACAL_CHECK(file.good()) << "can't read " << argv[i];
    std::string seed((std::istreambuf_iterator<char>(file)),
                     std::istreambuf_iterator<char>());
    if (seed.size() > kMaxBytes) seed.resize(kMaxBytes);
    buffer.Run(seed);
    std::mt19937 random(i);
    for (int k = 0; k < kMutationsOfEach; ++k) {
      buffer.Run(Mutate(seed, random));
    }
  }
  std::printf("%d files, %d mutations of each\n", argc - 1, kMutationsOfEach);
  return 0;
}
