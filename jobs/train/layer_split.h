// Which layers each rank of a layer chain holds.
#ifndef CARACAL_JOBS_TRAIN_LAYER_SPLIT_H_
#define CARACAL_JOBS_TRAIN_LAYER_SPLIT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/io/weight_source.h"
#include "core/model/adapters.h"
#include "core/model/shard.h"
#include "core/tape/execution.h"

namespace caracal {

// Consecutive layers for each of `ranks` ranks, at least one each, such that
// the largest sum of costs of a rank is as small as can be. Of several such
// splits the most even one, and of these the one whose first ranks have most
// layers. CHECKs that there are as many layers as ranks.
std::vector<IndexRange> SplitLayers(const std::vector<double>& costs,
                                    int ranks);

// Seconds that a micro-batch takes in each layer of the model in attention
// transfer, here and now: each kind of layer (converted, kept as softmax, the
// model's last, which has no output to make) is loaded and run on random
// activations of `sequences` rows of `seq_len` tokens, a few times.
absl::StatusOr<std::vector<double>> MeasureLayerCosts(
    const Execution& exec, const WeightSource& source, Shard shard,
    const StudentConfig& student, int64_t sequences, int64_t seq_len);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_LAYER_SPLIT_H_
