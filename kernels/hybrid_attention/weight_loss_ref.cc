#include "kernels/hybrid_attention/weight_loss_ref.h"

#include "kernels/hybrid_attention/reference_head.h"
#include "kernels/hybrid_attention/weight_loss_version.h"

namespace caracal::kernels {
namespace {

using reference::Head;
using reference::RowWeights;

// Weights and losses of row n.
template <typename T>
struct LossRow {
  RowWeights<T> weights;
  std::vector<T> teacher, student;  // a and p before its floor, [keys]
  WeightLossSums<T> loss;
  bool empty = true;  // no term at all
};

template <typename T>
LossRow<T> LossOf(const Head<T>& head, int64_t n,
                  const std::vector<int64_t>& keys, const std::vector<T>& phi_q,
                  const std::vector<std::vector<T>>& phi_k) {
  LossRow<T> row;
  row.weights = reference::WeightsOf(head, n, keys, phi_q, phi_k);
  const T den = row.weights.softmax_den + row.weights.linear_den;
  row.teacher.assign(keys.size(), T(0));
  row.student.assign(keys.size(), T(0));
  std::vector<T> s(keys.size());
  T top = T(0), mass = T(0);
  const auto has_term = [&](size_t i) {
    return head.HasSoftmaxTerm(n, keys[i]) || head.HasLinearTerm(n, keys[i]);
  };
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!has_term(i)) continue;
    s[i] = head.Score(n, keys[i]);
    if (row.empty || RealPart(s[i]) > RealPart(top)) top = s[i];
    row.empty = false;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!has_term(i)) continue;
    row.teacher[i] = std::exp(s[i] - top);
    mass += row.teacher[i];
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!has_term(i)) continue;
    row.teacher[i] /= mass;
    row.student[i] =
        (head.gamma() * row.weights.e[i] + head.alpha() * row.weights.l[i]) /
        den;
    const T floored = RealPart(row.student[i]) < kAttentionWeightFloor
                          ? T(kAttentionWeightFloor)
                          : row.student[i];
    row.loss.cross_entropy -= row.teacher[i] * std::log(floored);
    row.loss.teacher_entropy -= row.teacher[i] * (s[i] - top - std::log(mass));
  }
  return row;
}

template <typename T>
std::vector<std::vector<T>> KeyFeaturesOf(const Head<T>& head) {
  std::vector<std::vector<T>> phi_k(head.end());
  for (int64_t j = 0; head.AnyLinear() && j < head.end(); ++j) {
    phi_k[j] = head.Features(head.ProjectKey(j));
  }
  return phi_k;
}

size_t NoArena(const HybridAttentionArgs<float>&, int64_t) { return 0; }

void Run(const HybridAttentionArgs<float>& args,
         const HybridAttentionBackwardTask<float>& task,
         AttentionWeightLoss* loss, void*) {
  const WeightLossSums<float> sums = WeightLossBackwardReference(args, task);
  *loss = {sums.cross_entropy, sums.teacher_entropy};
}

}  // namespace

template <typename T>
WeightLossSums<T> WeightLossReference(const HybridAttentionArgs<T>& args,
                                      int64_t sequence, int64_t h) {
  const Head<T> head(args, sequence, h);
  const std::vector<std::vector<T>> phi_k = KeyFeaturesOf(head);
  WeightLossSums<T> sums;
  for (int64_t n = 0; n < head.end(); ++n) {
    std::vector<T> phi_q;
    if (head.AnyLinear()) phi_q = head.Features(head.ProjectQuery(n));
    const LossRow<T> row = LossOf(head, n, head.KeysUpTo(n), phi_q, phi_k);
    sums.cross_entropy += row.loss.cross_entropy;
    sums.teacher_entropy += row.loss.teacher_entropy;
  }
  return sums;
}

template <typename T>
WeightLossSums<T> WeightLossBackwardReference(
    const HybridAttentionArgs<T>& args,
    const HybridAttentionBackwardTask<T>& task) {
  const int64_t h = task.head, D = args.D, F = args.F, Fout = args.Fout;
  const int64_t table = args.map_of(h) * D * F;
  const Head<T> head(args, task.sequence, h);
  const int64_t length = head.end();
  const bool linear = head.AnyLinear();
  const std::vector<std::vector<T>> phi_k = KeyFeaturesOf(head);
  std::vector<std::vector<T>> dphi_k(length, std::vector<T>(Fout));
  std::vector<T> dweight_q(D * F), dweight_k(D * F), dbias_q(F), dbias_k(F);
  std::vector<T> unused(D);
  T dgamma = T(0), dalpha = T(0);
  WeightLossSums<T> sums;
  for (int64_t n = 0; n < length; ++n) {
    const std::vector<int64_t> keys = head.KeysUpTo(n);
    std::vector<T> z_q, phi_q, dphi_q(Fout), dz(F);
    if (linear) {
      z_q = head.ProjectQuery(n);
      phi_q = head.Features(z_q);
    }
    const LossRow<T> row = LossOf(head, n, keys, phi_q, phi_k);
    sums.cross_entropy += row.loss.cross_entropy;
    sums.teacher_entropy += row.loss.teacher_entropy;
    if (row.empty) continue;
    const T den = row.weights.softmax_den + row.weights.linear_den;
    T kept = T(0);  // teacher's mass above the student's floor
    for (size_t i = 0; i < keys.size(); ++i) {
      if (row.student[i] >= kAttentionWeightFloor) kept += row.teacher[i];
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      // d(loss) / d(u_i)
      T g = kept / den;
      if (row.student[i] >= kAttentionWeightFloor) {
        g -= row.teacher[i] / (row.student[i] * den);
      }
      g *= task.scale;
      dgamma += row.weights.e[i] * g;
      dalpha += row.weights.l[i] * g;
      if (!head.HasLinearTerm(n, keys[i])) continue;
      for (int64_t f = 0; f < Fout; ++f) {
        dphi_q[f] += head.alpha() * g * phi_k[i][f];
        dphi_k[i][f] += head.alpha() * g * phi_q[f];
      }
    }
    if (!linear) continue;
    head.map().backward(F, z_q.data(), dphi_q.data(), dz.data());
    reference::ProjectBackward(D, F, head.Query(n), args.weight_q + table, dz,
                               unused.data(), dweight_q, dbias_q);
  }
  for (int64_t j = 0; linear && j < length; ++j) {
    std::vector<T> dz(F);
    head.map().backward(F, head.ProjectKey(j).data(), dphi_k[j].data(),
                        dz.data());
    reference::ProjectBackward(D, F, head.Key(j), args.weight_k + table, dz,
                               unused.data(), dweight_k, dbias_k);
  }
  const auto put = [](const std::vector<T>& from, T* to) {
    if (to != nullptr) std::copy(from.begin(), from.end(), to);
  };
  put(dweight_q, task.dweight_q);
  put(dweight_k, task.dweight_k);
  put(dbias_q, task.dbias_q);
  put(dbias_k, task.dbias_k);
  if (task.dwindow_factor != nullptr) {
    const T dfactor = args.config.affine ? dgamma - dalpha : dgamma;
    *task.dwindow_factor = dfactor * head.gamma() * (T(1) - head.gamma());
  }
  return sums;
}

template WeightLossSums<double> WeightLossReference(
    const HybridAttentionArgs<double>&, int64_t, int64_t);
template WeightLossSums<std::complex<double>> WeightLossReference(
    const HybridAttentionArgs<std::complex<double>>&, int64_t, int64_t);
template WeightLossSums<double> WeightLossBackwardReference(
    const HybridAttentionArgs<double>&,
    const HybridAttentionBackwardTask<double>&);

const WeightLossVersion kWeightLossReference = {NoArena, Run};

}  // namespace caracal::kernels
