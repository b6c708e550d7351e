#include "core/io/fingerprint.h"

#include <xxhash.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace caracal {
namespace {

// Fixed for good: the fingerprint depends on it.
constexpr size_t kPieceBytes = 1 << 20;

// Doubles as %.17g, which is exact.
std::string ConfigText(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  std::string text = absl::StrCat(
      "architecture ", config.architecture, "\nsizes ", config.hidden_size, " ",
      config.intermediate_size, " ", config.layers, " ", config.heads, " ",
      config.kv_heads, " ", config.head_dim, " ", config.vocab_size, " ",
      config.max_positions, "\nflags ", config.tie_word_embeddings, " ",
      config.attention_bias, "\n");
  absl::StrAppendFormat(&text, "eps %.17g\n", config.rms_norm_eps);
  absl::StrAppendFormat(&text, "rope %s %.17g %.17g %.17g %.17g %d\n",
                        NameOf(rope.scaling), rope.theta, rope.factor,
                        rope.low_freq_factor, rope.high_freq_factor,
                        rope.original_max_positions);
  for (const float divisor : rope.divisors) {
    absl::StrAppendFormat(&text, "%.9g ", divisor);
  }
  return text;
}

struct Piece {
  const uint8_t* data;
  size_t bytes;
  XXH128_canonical_t hash;
};

}  // namespace

std::string FingerprintOf(const Context& ctx, const ModelConfig& config,
                          std::vector<HashedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const HashedTensor& a, const HashedTensor& b) {
              return a.info->name < b.info->name;
            });
  std::vector<Piece> pieces;
  std::string text = ConfigText(config);
  for (const HashedTensor& tensor : tensors) {
    absl::StrAppend(&text, "\ntensor ", tensor.info->name, " ",
                    NameOf(tensor.info->encoding), " ",
                    absl::StrJoin(tensor.info->shape, "x"));
    for (size_t at = 0; at < tensor.data.size(); at += kPieceBytes) {
      pieces.push_back({tensor.data.data() + at,
                        std::min(kPieceBytes, tensor.data.size() - at),
                        {}});
    }
  }
  ctx.pool->ParallelFor(pieces.size(), [&](int64_t i, int) {
    Piece& piece = pieces[i];
    XXH128_canonicalFromHash(&piece.hash,
                             XXH3_128bits(piece.data, piece.bytes));
  });
  text += '\0';
  for (const Piece& piece : pieces) {
    text.append(reinterpret_cast<const char*>(piece.hash.digest),
                sizeof(piece.hash.digest));
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return absl::StrFormat("%016x%016x", hash.high64, hash.low64);
}

}  // namespace caracal
