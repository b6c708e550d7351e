// Writes GGUF files for tests, broken ones too: nothing is checked.
#ifndef CARACAL_CORE_IO_GGUF_BUILDER_H_
#define CARACAL_CORE_IO_GGUF_BUILDER_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/io/gguf.h"

namespace caracal {

class GgufBuilder {
 public:
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dimensions;  // innermost first
    uint32_t type = 0;
    uint64_t offset = 0;
  };

  template <typename T>
  static std::string Bytes(T value) {
    static_assert(std::is_arithmetic_v<T>);
    std::string out(sizeof(T), '\0');
    std::memcpy(out.data(), &value, sizeof(T));
    return out;
  }
  static std::string Text(const std::string& text) {
    return Bytes<uint64_t>(text.size()) + text;
  }

  // `value` is what follows the type in the file.
  GgufBuilder& Pair(const std::string& key, GgufType type,
                    const std::string& value) {
    pairs_ += Text(key) + Bytes(static_cast<uint32_t>(type)) + value;
    ++pair_count_;
    return *this;
  }
  GgufBuilder& Array(const std::string& key, GgufType type, uint64_t count,
                     const std::string& elements) {
    return Pair(key, GgufType::kArray,
                Bytes(static_cast<uint32_t>(type)) + Bytes(count) + elements);
  }
  GgufBuilder& Int(const std::string& key, uint32_t value) {
    return Pair(key, GgufType::kU32, Bytes(value));
  }
  GgufBuilder& Float(const std::string& key, float value) {
    return Pair(key, GgufType::kF32, Bytes(value));
  }
  GgufBuilder& String(const std::string& key, const std::string& value) {
    return Pair(key, GgufType::kString, Text(value));
  }
  GgufBuilder& Add(const Tensor& tensor) {
    tensors_ += Text(tensor.name) +
                Bytes(static_cast<uint32_t>(tensor.dimensions.size()));
    for (const uint64_t dimension : tensor.dimensions) {
      tensors_ += Bytes(dimension);
    }
    tensors_ += Bytes(tensor.type) + Bytes(tensor.offset);
    ++tensor_count_;
    return *this;
  }
  // What the header declares, where it is to differ from what is there.
  GgufBuilder& DeclarePairs(uint64_t count) {
    pair_count_ = count;
    return *this;
  }
  GgufBuilder& DeclareTensors(uint64_t count) {
    tensor_count_ = count;
    return *this;
  }

  // The file, with `data` from the first multiple of `alignment` on.
  std::string Build(const std::string& data = "", uint32_t version = 3,
                    size_t alignment = 32) const {
    std::string out = "GGUF" + Bytes(version) + Bytes(tensor_count_) +
                      Bytes(pair_count_) + pairs_ + tensors_;
    if (data.empty()) return out;
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }

 private:
  std::string pairs_, tensors_;
  uint64_t pair_count_ = 0, tensor_count_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_GGUF_BUILDER_H_
