#include "jobs/client/rank_words.h"

#include "absl/strings/str_cat.h"
#include "core/model/shard.h"
#include "dist/mesh/mesh.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

// "0 to 5", "3"
std::string Numbers(const IndexRange& range) {
  return range.size() == 1 ? absl::StrCat(range.begin)
                           : absl::StrCat(range.begin, " to ", range.end - 1);
}

// fp32, as training keeps them.
int64_t WeightBytes(const ModelConfig& model, const HeadSplit& split,
                    Shard shard) {
  const int64_t c = model.hidden_size, d = model.head_dim;
  const int64_t attention =
      2 * (split.heads.size() + split.kv_heads.size()) * d * c;
  const int64_t mlp = 3 * shard.Of(model.intermediate_size).size() * c;
  const int64_t vocabulary = shard.Of(model.vocab_size).size() * c *
                             (model.tie_word_embeddings ? 1 : 2);
  const int64_t elements =
      model.layers * (attention + mlp + 2 * c) + vocabulary + c;
  return elements * static_cast<int64_t>(sizeof(float));
}

}  // namespace

std::string RankWords(const proto::Job& job, const ModelConfig& model) {
  const MeshShape shape = {.data = job.parallel().data(),
                           .tensor = job.parallel().tensor(),
                           .layer = job.parallel().layer()};
  if (shape.ranks() == 1) return "";
  std::string words =
      absl::StrCat(shape.ranks(), ": ", FormatMesh(shape), "; ",
                   job.budget().batch() / shape.data,
                   job.budget().batch() / shape.data == 1 ? " row" : " rows",
                   " of a step each");
  for (int rank = 0; rank < shape.tensor; ++rank) {
    const Shard shard{rank, shape.tensor};
    const absl::StatusOr<HeadSplit> split =
        SplitHeads(model.heads, model.kv_heads, shard);
    if (!split.ok()) {
      return absl::StrCat(words, "\nnot possible: ", split.status().message());
    }
    if (shape.tensor == 1) {
      absl::StrAppend(&words, "\neach the whole model");
    } else {
      absl::StrAppend(
          &words, "\ntensor ", rank, ": query heads ", Numbers(split->heads),
          ", key/value heads ", Numbers(split->kv_heads),
          split->kv_shared ? " (shared)" : "", ", ",
          Count(shard.Of(model.intermediate_size).size()), " MLP columns, ",
          Count(shard.Of(model.vocab_size).size()), " of the vocabulary");
    }
    absl::StrAppend(&words, ", ", Bytes(WeightBytes(model, *split, shard)),
                    " of weights");
  }
  return words;
}

}  // namespace caracal
