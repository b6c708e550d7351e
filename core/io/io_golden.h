// For tests: golden.txt of tests/golden/io (see make_io_golden.py).
#ifndef CARACAL_CORE_IO_IO_GOLDEN_H_
#define CARACAL_CORE_IO_IO_GOLDEN_H_

#include <zlib.h>

#include <bit>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/common/check.h"

namespace caracal {

class IoGolden {
 public:
  static IoGolden Load() {
    IoGolden golden;
    std::ifstream file("tests/golden/io/golden.txt");
    CARACAL_CHECK(file.good()) << "no golden.txt";
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::string kind, name, word;
      words >> kind >> name;
      if (kind == "tensor") {
        std::string tensor;
        words >> tensor >> word;
        golden.tensors_[name][tensor] = std::stoul(word, nullptr, 16);
      } else {
        while (words >> word) {
          const uint32_t bits = std::stoul(word, nullptr, 16);
          golden.inv_freq_[name].push_back(std::bit_cast<float>(bits));
        }
      }
    }
    return golden;
  }

  // Tensor name -> CRC-32 of its fp32 values.
  const std::map<std::string, uint32_t>& Tensors(
      const std::string& fixture) const {
    return tensors_.at(fixture);
  }
  const std::vector<float>& InvFreq(const std::string& name) const {
    return inv_freq_.at(name);
  }

  static uint32_t Crc(const std::vector<float>& values) {
    return crc32(0, reinterpret_cast<const Bytef*>(values.data()),
                 values.size() * sizeof(float));
  }

 private:
  std::map<std::string, std::map<std::string, uint32_t>> tensors_;
  std::map<std::string, std::vector<float>> inv_freq_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_IO_GOLDEN_H_
