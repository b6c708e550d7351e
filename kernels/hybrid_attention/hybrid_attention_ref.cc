#include "kernels/hybrid_attention/hybrid_attention_ref.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "kernels/hybrid_attention/reference_head.h"

namespace caracal::kernels {
namespace {

using reference::Head;
using reference::RowWeights;
using reference::WeightsOf;

size_t NoArena(const HybridAttentionArgs<float>&, int64_t) { return 0; }

void Forward(const HybridAttentionArgs<float>& args, int64_t sequence,
             int64_t head, void*) {
  HybridAttentionForwardReference(args, sequence, head);
}

void Backward(const HybridAttentionArgs<float>& args,
              const HybridAttentionBackwardTask<float>& task, void*) {
  HybridAttentionBackwardReference(args, task);
}

}  // namespace

template <typename T>
void HybridAttentionForwardReference(const HybridAttentionArgs<T>& args,
                                     int64_t sequence, int64_t h) {
  const Head<T> head(args, sequence, h);
  const int64_t D = args.D, Fout = args.Fout;
  T* state = nullptr;
  T* norm = nullptr;
  if (args.past_length != nullptr && args.state != nullptr) {
    state = args.state + sequence * args.state_sequence + h * args.state_head;
    norm = args.state_norm + sequence * args.norm_sequence + h * args.norm_head;
  }
  const std::vector<int64_t> all = head.KeysUpTo(head.end() - 1);
  std::vector<std::vector<T>> phi_k(all.size());
  if (head.AnyLinear() || state != nullptr) {
    for (size_t i = 0; i < all.size(); ++i) {
      phi_k[i] = head.Features(head.ProjectKey(all[i]));
    }
  }
  for (int64_t n = head.past(); n < head.end(); ++n) {
    const std::vector<int64_t> keys = head.KeysUpTo(n);
    std::vector<T> phi_q;
    if (head.AnyLinear()) phi_q = head.Features(head.ProjectQuery(n));
    RowWeights<T> row = WeightsOf(head, n, keys, phi_q, phi_k);
    std::vector<T> num(D);
    for (size_t i = 0; i < keys.size(); ++i) {
      const T p = head.gamma() * row.e[i] + head.alpha() * row.l[i];
      for (int64_t d = 0; d < D; ++d) num[d] += p * head.Value(keys[i])[d];
    }
    if (state != nullptr && (head.terms() & kLinearPastTerms)) {
      for (int64_t f = 0; f < Fout; ++f) {
        const T p = head.alpha() * phi_q[f];
        row.linear_den += p * norm[f];
        for (int64_t d = 0; d < D; ++d) num[d] += p * state[f * D + d];
      }
    }
    const T den = row.softmax_den + row.linear_den;
    T* y = args.y.at(head.Row(n), h);
    for (int64_t d = 0; d < D; ++d) {
      y[d] = RealPart(den) <= 0 ? T(0) : num[d] / den;
    }
    const int64_t at = h * args.rows + head.Row(n);
    if (args.row_max != nullptr) args.row_max[at] = row.row_max;
    if (args.softmax_den != nullptr) args.softmax_den[at] = row.softmax_den;
    if (args.linear_den != nullptr) args.linear_den[at] = row.linear_den;
  }
  if (state == nullptr) return;
  for (size_t i = 0; i < all.size(); ++i) {
    const int64_t j = all[i];
    if (j < head.sinks() || j < head.window_begin() ||
        j >= head.Start(head.end())) {
      continue;
    }
    for (int64_t f = 0; f < Fout; ++f) {
      norm[f] += phi_k[i][f];
      for (int64_t d = 0; d < D; ++d) {
        state[f * D + d] += phi_k[i][f] * head.Value(j)[d];
      }
    }
  }
}

template <typename T>
void HybridAttentionBackwardReference(
    const HybridAttentionArgs<T>& args,
    const HybridAttentionBackwardTask<T>& task) {
  const int64_t h = task.head, D = args.D, F = args.F, Fout = args.Fout;
  const Head<T> head(args, task.sequence, h);
  const int64_t length = head.end();
  const bool linear = head.AnyLinear();
  const T root = T(std::sqrt(D));
  const std::vector<int64_t> all = head.KeysUpTo(length - 1);
  std::vector<std::vector<T>> z_k(length), phi_k(length), dphi_k(length);
  for (int64_t j = 0; linear && j < length; ++j) {
    z_k[j] = head.ProjectKey(j);
    phi_k[j] = head.Features(z_k[j]);
    dphi_k[j].assign(Fout, T(0));
  }
  std::vector<T> dk(length * D), dv(length * D);
  std::vector<T> dweight_q(D * F), dweight_k(D * F), dbias_q(F), dbias_k(F);
  T dgamma = T(0), dalpha = T(0);
  double squared_error = 0;

  const int64_t table = args.map_of(h) * D * F;
  for (int64_t n = 0; n < length; ++n) {
    const std::vector<int64_t> keys = head.KeysUpTo(n);
    std::vector<T> z_q, phi_q, dphi_q(Fout);
    if (linear) {
      z_q = head.ProjectQuery(n);
      phi_q = head.Features(z_q);
    }
    const RowWeights<T> row = WeightsOf(head, n, keys, phi_q, phi_k);
    const T den = row.softmax_den + row.linear_den;
    std::vector<T> y(D), dy(D), dq(D);
    for (size_t i = 0; !(den <= 0) && i < keys.size(); ++i) {
      const T p = (head.gamma() * row.e[i] + head.alpha() * row.l[i]) / den;
      for (int64_t d = 0; d < D; ++d) y[d] += p * head.Value(keys[i])[d];
    }
    for (int64_t d = 0; d < D; ++d) {
      if (task.target.data != nullptr) {
        const T error = y[d] - task.target.at(head.Row(n), h)[d];
        squared_error += static_cast<double>(error) * error;
        dy[d] = task.scale * error;
      } else {
        dy[d] = task.dy.at(head.Row(n), h)[d];
      }
    }
    const T delta = Head<T>::Dot(D, dy.data(), y.data());
    T dmax = T(0);
    std::vector<T> ds(keys.size());
    for (size_t i = 0; !(den <= 0) && i < keys.size(); ++i) {
      const int64_t j = keys[i];
      // d(loss) / d(weight of key j)
      const T g = (Head<T>::Dot(D, dy.data(), head.Value(j)) - delta) / den;
      const T p = (head.gamma() * row.e[i] + head.alpha() * row.l[i]) / den;
      for (int64_t d = 0; d < D; ++d) dv[j * D + d] += p * dy[d];
      dgamma += row.e[i] * g;
      dalpha += row.l[i] * g;
      ds[i] = head.gamma() * row.e[i] * g;
      dmax -= ds[i];
      if (!head.HasLinearTerm(n, j)) continue;
      for (int64_t f = 0; f < Fout; ++f) {
        dphi_q[f] += head.alpha() * g * phi_k[j][f];
        dphi_k[j][f] += head.alpha() * g * phi_q[f];
      }
    }
    ds[row.argmax] += dmax;
    for (size_t i = 0; i < keys.size(); ++i) {
      for (int64_t d = 0; d < D; ++d) {
        dq[d] += ds[i] * head.Key(keys[i])[d] / root;
        dk[keys[i] * D + d] += ds[i] * head.Query(n)[d] / root;
      }
    }
    if (linear) {
      std::vector<T> dz(F);
      head.map().backward(F, z_q.data(), dphi_q.data(), dz.data());
      reference::ProjectBackward(D, F, head.Query(n), args.weight_q + table, dz,
                                 dq.data(), dweight_q, dbias_q);
    }
    if (task.dq.data != nullptr) {
      std::copy(dq.begin(), dq.end(), task.dq.at(head.Row(n), h));
    }
  }
  for (int64_t j = 0; linear && j < length; ++j) {
    std::vector<T> dz(F);
    head.map().backward(F, z_k[j].data(), dphi_k[j].data(), dz.data());
    reference::ProjectBackward(D, F, head.Key(j), args.weight_k + table, dz,
                               &dk[j * D], dweight_k, dbias_k);
  }

  const auto put_rows = [&](const std::vector<T>& from, T* to, int64_t stride) {
    for (int64_t i = 0; to != nullptr && i < length * D; ++i) {
      T& out = to[i / D * stride + i % D];
      out = task.add_kv ? out + from[i] : from[i];
    }
  };
  const auto put = [](const std::vector<T>& from, T* to) {
    if (to != nullptr) std::copy(from.begin(), from.end(), to);
  };
  put_rows(dk, task.dk, task.dk_row);
  put_rows(dv, task.dv, task.dv_row);
  put(dweight_q, task.dweight_q);
  put(dweight_k, task.dweight_k);
  put(dbias_q, task.dbias_q);
  put(dbias_k, task.dbias_k);
  if (task.dwindow_factor != nullptr) {
    const T dfactor = args.config.affine ? dgamma - dalpha : dgamma;
    *task.dwindow_factor = dfactor * head.gamma() * (T(1) - head.gamma());
  }
  if (task.squared_error != nullptr) *task.squared_error = squared_error;
}

template void HybridAttentionForwardReference(const HybridAttentionArgs<float>&,
                                              int64_t, int64_t);
template void HybridAttentionForwardReference(
    const HybridAttentionArgs<double>&, int64_t, int64_t);
template void HybridAttentionForwardReference(
    const HybridAttentionArgs<std::complex<double>>&, int64_t, int64_t);
template void HybridAttentionBackwardReference(
    const HybridAttentionArgs<float>&,
    const HybridAttentionBackwardTask<float>&);
template void HybridAttentionBackwardReference(
    const HybridAttentionArgs<double>&,
    const HybridAttentionBackwardTask<double>&);

const HybridAttentionVersion kHybridAttentionReference = {NoArena, NoArena,
                                                          Forward, Backward};

}  // namespace caracal::kernels
