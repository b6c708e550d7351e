#include "core/io/tokenizer/bpe.h"

#include <algorithm>
#include <optional>

#include "core/base/status.h"
#include "core/io/quoted.h"
#include "core/io/tokenizer/byte_alphabet.h"

namespace caracal {
namespace {

// A scratch that a huge word has blown up is cut back to this many symbols.
constexpr size_t kKeepSymbols = 1 << 16;

uint64_t PairKey(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 |
         static_cast<uint32_t>(right);
}

// std's heaps keep the largest on top.
struct LaterFirst {
  template <typename T>
  bool operator()(const T& a, const T& b) const {
    return a.order > b.order;
  }
};

}  // namespace

absl::StatusOr<BpeModel> BpeModel::Create(const TokenizerSpec& spec) {
  absl::flat_hash_map<absl::string_view, int32_t> ids;
  ids.reserve(spec.vocab.size());
  for (size_t id = 0; id < spec.vocab.size(); ++id) {
    if (spec.vocab[id].empty()) continue;
    const auto [it, added] =
        ids.try_emplace(spec.vocab[id], static_cast<int32_t>(id));
    if (!added) {
      return absl::InvalidArgumentError(absl::StrCat(
          "token ", Quoted(spec.vocab[id]), " is in the vocabulary twice: ids ",
          it->second, " and ", id));
    }
  }
  BpeModel model;
  model.unknown_id_ = spec.unknown_id;
  model.fuse_unknown_ = spec.fuse_unknown;
  for (int byte = 0; byte < 256; ++byte) {
    const auto it = ids.find(ByteAlphabetChar(static_cast<uint8_t>(byte)));
    model.byte_ids_[byte] = it == ids.end() ? -1 : it->second;
  }
  model.merges_.reserve(spec.merges.size());
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const std::string merged = absl::StrCat(left, right);
    for (const std::string* token : {&left, &right, &merged}) {
      if (ids.contains(*token)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "merge ", rank, " of ", Quoted(left), " and ", Quoted(right),
          ": there is no token ", Quoted(*token), " in the vocabulary"));
    }
    // Of a pair that is listed twice the later rank counts.
    model.merges_[PairKey(ids[left], ids[right])] = {static_cast<int32_t>(rank),
                                                     ids[merged]};
  }
  if (spec.ignore_merges) {
    for (const auto& [token, id] : ids) {
      std::optional<std::string> bytes = BytesOfAlphabet(token);
      if (bytes.has_value()) model.words_.emplace(*std::move(bytes), id);
    }
  }
  return model;
}

void BpeModel::Encode(absl::string_view word, BpeScratch* scratch,
                      std::vector<int32_t>* ids) const {
  if (scratch->cache_.Lookup(word, ids)) return;
  const size_t begin = ids->size();
  const auto whole = words_.empty() ? words_.end() : words_.find(word);
  if (whole != words_.end()) {
    ids->push_back(whole->second);
  } else {
    MakeSymbols(word, scratch);
    MergeSymbols(scratch);
    for (const BpeScratch::Symbol& symbol : scratch->symbols_) {
      if (symbol.id >= 0) ids->push_back(symbol.id);
    }
  }
  scratch->cache_.Insert(word, absl::MakeConstSpan(*ids).subspan(begin));
  if (scratch->symbols_.size() > kKeepSymbols) {
    scratch->symbols_ = {};
    scratch->queue_ = {};
  }
}

void BpeModel::MakeSymbols(absl::string_view word, BpeScratch* scratch) const {
  std::vector<BpeScratch::Symbol>& symbols = scratch->symbols_;
  symbols.clear();
  bool after_unknown = false;
  for (const char c : word) {
    int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    const bool unknown = id < 0;
    if (unknown) {
      id = unknown_id_;
      if (id < 0 || (fuse_unknown_ && after_unknown)) continue;
    }
    after_unknown = unknown;
    const auto position = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, position - 1, position + 1});
  }
  if (!symbols.empty()) symbols.back().next = -1;
}

void BpeModel::Consider(int32_t position, BpeScratch* scratch) const {
  if (position < 0) return;
  const BpeScratch::Symbol& symbol = scratch->symbols_[position];
  if (symbol.next < 0) return;
  const auto it =
      merges_.find(PairKey(symbol.id, scratch->symbols_[symbol.next].id));
  if (it == merges_.end()) return;
  scratch->queue_.push_back(
      {uint64_t{static_cast<uint32_t>(it->second.rank)} << 32 |
           static_cast<uint32_t>(position),
       it->second.merged_id});
  std::push_heap(scratch->queue_.begin(), scratch->queue_.end(), LaterFirst());
}

void BpeModel::MergeSymbols(BpeScratch* scratch) const {
  std::vector<BpeScratch::Symbol>& symbols = scratch->symbols_;
  std::vector<BpeScratch::Candidate>& queue = scratch->queue_;
  queue.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    Consider(static_cast<int32_t>(i), scratch);
  }
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), LaterFirst());
    const BpeScratch::Candidate candidate = queue.back();
    queue.pop_back();
    const auto position = static_cast<int32_t>(candidate.order & 0xFFFFFFFFu);
    BpeScratch::Symbol& left = symbols[position];
    if (left.id < 0 || left.next < 0) continue;
    BpeScratch::Symbol& right = symbols[left.next];
    // Either neighbour may have been merged since the pair was queued.
    const auto it = merges_.find(PairKey(left.id, right.id));
    if (it == merges_.end() || it->second.merged_id != candidate.merged_id) {
      continue;
    }
    left.id = candidate.merged_id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = position;
    Consider(left.previous, scratch);
    Consider(position, scratch);
  }
}

}  // namespace caracal
