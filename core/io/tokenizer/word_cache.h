// A bounded cache from short words to their ids, for one thread.
//
// Direct-mapped: a new word takes the place of the one in its slot, so that
// neither memory nor time ever grows.
#ifndef CARACAL_CORE_IO_TOKENIZER_WORD_CACHE_H_
#define CARACAL_CORE_IO_TOKENIZER_WORD_CACHE_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace caracal {

class WordCache {
 public:
  static constexpr size_t kSlots = 1 << 15;
  static constexpr size_t kMaxWordBytes = 30;
  static constexpr size_t kMaxIds = 8;

  WordCache() : slots_(kSlots) {}

  // Appends the ids of `word`; false when it is not there.
  bool Lookup(absl::string_view word, std::vector<int32_t>* ids) const {
    if (word.size() > kMaxWordBytes) return false;
    const Slot& slot = slots_[SlotOf(word)];
    if (slot.word_bytes != word.size() ||
        std::memcmp(slot.word, word.data(), word.size()) != 0) {
      return false;
    }
    ids->insert(ids->end(), slot.ids, slot.ids + slot.id_count);
    return true;
  }

  // Words that are too long or have too many ids are not kept.
  void Insert(absl::string_view word, absl::Span<const int32_t> ids) {
    if (word.empty() || word.size() > kMaxWordBytes || ids.size() > kMaxIds) {
      return;
    }
    Slot& slot = slots_[SlotOf(word)];
    slot.word_bytes = static_cast<uint8_t>(word.size());
    slot.id_count = static_cast<uint8_t>(ids.size());
    std::memcpy(slot.word, word.data(), word.size());
    std::memcpy(slot.ids, ids.data(), ids.size() * sizeof(int32_t));
  }

 private:
  struct Slot {
    uint8_t word_bytes = 0;  // 0: free
    uint8_t id_count = 0;
    char word[kMaxWordBytes];
    int32_t ids[kMaxIds];
  };
  static_assert(sizeof(Slot) == 64, "one cache line");

  // Eight bytes at a time: xor, multiply, fold the high bits back.
  static size_t SlotOf(absl::string_view word) {
    constexpr uint64_t kPrime = 0x9E3779B97F4A7C15u;
    uint64_t hash = word.size();
    const char* data = word.data();
    size_t left = word.size();
    for (; left >= 8; data += 8, left -= 8) {
      uint64_t chunk;
      std::memcpy(&chunk, data, 8);
      hash = (hash ^ chunk) * kPrime;
      hash ^= hash >> 29;
    }
    uint64_t tail = 0;
    std::memcpy(&tail, data, left);
    hash = (hash ^ tail) * kPrime;
    return static_cast<size_t>(hash >> 32) % kSlots;
  }

  std::vector<Slot> slots_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_WORD_CACHE_H_
