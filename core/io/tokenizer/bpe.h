// Byte-level byte-pair encoding of one word.
//
// The bytes of a word are its first symbols. As long as some two neighbours
// may be merged, the pair of the lowest rank is, the leftmost of equals.
// O(n log n) for n bytes: a linked list of symbols and a queue of pairs.
#ifndef CARACAL_CORE_IO_TOKENIZER_BPE_H_
#define CARACAL_CORE_IO_TOKENIZER_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/io/tokenizer/tokenizer_spec.h"
#include "core/io/tokenizer/word_cache.h"

namespace caracal {

// What one thread needs while encoding; holds 2 MiB of cached words. Only for
// use with one BpeModel.
class BpeScratch {
 private:
  friend class BpeModel;

  struct Symbol {
    int32_t id;  // -1: merged into the one before
    int32_t previous;
    int32_t next;  // -1: none
  };
  struct Candidate {
    uint64_t order;  // rank << 32 | position: the smallest is merged first
    int32_t merged_id;
  };

  WordCache cache_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;  // a heap
};

// Immutable and thread-safe.
class BpeModel {
 public:
  // kInvalidArgument: a merge of or to a token that is not in the vocabulary.
  static absl::StatusOr<BpeModel> Create(const TokenizerSpec& spec);

  // Appends the ids of `word` (any bytes, fewer than 2^31 of them). A byte
  // that no token stands for is dropped, or becomes the unknown id where there
  // is one, as in Hugging Face `tokenizers`.
  void Encode(absl::string_view word, BpeScratch* scratch,
              std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    int32_t rank;
    int32_t merged_id;
  };

  BpeModel() = default;
  void MakeSymbols(absl::string_view word, BpeScratch* scratch) const;
  void MergeSymbols(BpeScratch* scratch) const;
  // Queues the symbol at `position` with its right neighbour.
  void Consider(int32_t position, BpeScratch* scratch) const;

  std::array<int32_t, 256> byte_ids_;  // -1: none
  // left id << 32 | right id
  absl::flat_hash_map<uint64_t, Merge> merges_;
  // Bytes of whole words; empty without ignore_merges.
  absl::flat_hash_map<std::string, int32_t> words_;
  int32_t unknown_id_ = -1;
  bool fuse_unknown_ = false;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_BPE_H_
