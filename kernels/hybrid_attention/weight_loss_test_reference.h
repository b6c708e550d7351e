// What the reference makes of a whole call of the attention-weight loss.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_TEST_REFERENCE_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_TEST_REFERENCE_H_

#include <cstdint>
#include <vector>

#include "kernels/hybrid_attention/weight_loss_ref.h"

namespace caracal::kernels::testing {

// The reference's sums and gradients of a whole call, in fp64.
struct WeightLossSolution {
  WeightLossSolution(const HybridAttentionArgs<double>& args, double scale)
      : dweight_q(args.maps * args.D * args.F),
        dweight_k(dweight_q.size()),
        dbias_q(args.maps * args.F),
        dbias_k(dbias_q.size()),
        dfactor(args.heads) {
    for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
      const int64_t head = i % args.heads, map = args.map_of(head);
      std::vector<double> weight_q(args.D * args.F), weight_k(weight_q.size());
      std::vector<double> bias_q(args.F), bias_k(args.F);
      double factor = 0;
      HybridAttentionBackwardTask<double> task;
      task.sequence = i / args.heads;
      task.head = head;
      task.scale = scale;
      task.dweight_q = weight_q.data();
      task.dweight_k = weight_k.data();
      task.dbias_q = bias_q.data();
      task.dbias_k = bias_k.data();
      task.dwindow_factor = &factor;
      const auto one = WeightLossBackwardReference(args, task);
      sums.cross_entropy += one.cross_entropy;
      sums.teacher_entropy += one.teacher_entropy;
      const auto add = [&](const std::vector<double>& part,
                           std::vector<double>& total) {
        for (size_t j = 0; j < part.size(); ++j) {
          total[map * part.size() + j] += part[j];
        }
      };
      add(weight_q, dweight_q);
      add(weight_k, dweight_k);
      add(bias_q, dbias_q);
      add(bias_k, dbias_k);
      dfactor[head] += factor;
    }
  }
  WeightLossSums<double> sums;
  std::vector<double> dweight_q, dweight_k, dbias_q, dbias_k, dfactor;
};

}  // namespace caracal::kernels::testing

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_TEST_REFERENCE_H_
