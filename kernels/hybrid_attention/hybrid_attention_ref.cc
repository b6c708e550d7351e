#include "kernels/hybrid_attention/hybrid_attention_ref.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "kernels/feature_map/feature_map_ref.h"

namespace caracal::kernels {
namespace {

// One head of one sequence. Positions are absolute; the call's first row is
// position `past`.
template <typename T>
class Head {
 public:
  Head(const HybridAttentionArgs<T>& args, int64_t sequence, int64_t head)
      : args_(args),
        sequence_(sequence),
        head_(head),
        kv_(args.kv_head(head)),
        terms_(args.terms_of(sequence, head)),
        past_(args.past(sequence)),
        end_(past_ + args.length(sequence)),
        window_begin_(Start(past_)),
        gamma_(T(1) / (T(1) + std::exp(-args.window_factor[head]))),
        alpha_(args.config.affine ? T(1) - gamma_ : T(1)),
        map_(kFeatureMapReference<T>[static_cast<int>(
            args.config.feature_map)]) {}

  const T* Query(int64_t n) const { return args_.q.at(Row(n), head_); }
  const T* Key(int64_t j) const {
    if (j >= past_) return args_.k.at(Row(j), kv_);
    if (j >= window_begin_) return args_.past_k.at(sequence_, PastRow(j), kv_);
    return args_.sink_k.at(sequence_, j, kv_);
  }
  const T* Value(int64_t j) const {
    if (j >= past_) return args_.v.at(Row(j), kv_);
    if (j >= window_begin_) return args_.past_v.at(sequence_, PastRow(j), kv_);
    return args_.sink_v.at(sequence_, j, kv_);
  }
  int64_t Row(int64_t n) const { return args_.begin(sequence_) + n - past_; }
  int64_t Start(int64_t n) const {
    return WindowStart(args_.config.window_kind, args_.config.window, n);
  }

  // Keys at hand: the far sinks, then everything since the oldest window.
  std::vector<int64_t> KeysUpTo(int64_t n) const {
    std::vector<int64_t> keys;
    for (int64_t j = 0; j < std::min(sinks(), window_begin_); ++j) {
      keys.push_back(j);
    }
    for (int64_t j = window_begin_; j <= n; ++j) keys.push_back(j);
    return keys;
  }

  // Key j's part in row n, j <= n.
  bool Near(int64_t n, int64_t j) const { return j >= Start(n); }
  bool InSoftmaxSet(int64_t n, int64_t j) const {
    return Near(n, j) || j < sinks();
  }
  bool HasSoftmaxTerm(int64_t n, int64_t j) const {
    if (j >= sinks()) return Near(n, j) && (terms_ & kNearTerms);
    return terms_ & (Near(n, j) ? kNearSinkTerms : kFarSinkTerms);
  }
  bool HasLinearTerm(int64_t n, int64_t j) const {
    return terms_ & (InSoftmaxSet(n, j) ? kLinearNearTerms : kLinearPastTerms);
  }
  bool AnyLinear() const {
    return terms_ & (kLinearPastTerms | kLinearNearTerms);
  }

  T Score(int64_t n, int64_t j) const {
    return Dot(args_.D, Query(n), Key(j)) / T(std::sqrt(args_.D));
  }
  std::vector<T> Project(const T* x, const T* weight, const T* bias) const {
    std::vector<T> z(args_.F);
    const int64_t table = args_.map_of(head_);
    FeatureProjection(args_.D, args_.F, x, weight + table * args_.D * args_.F,
                      bias == nullptr ? nullptr : bias + table * args_.F,
                      z.data());
    return z;
  }
  std::vector<T> ProjectQuery(int64_t n) const {
    return Project(Query(n), args_.weight_q, args_.bias_q);
  }
  std::vector<T> ProjectKey(int64_t j) const {
    return Project(Key(j), args_.weight_k, args_.bias_k);
  }
  std::vector<T> Features(const std::vector<T>& z) const {
    std::vector<T> phi(args_.Fout);
    map_.forward(args_.F, z.data(), phi.data());
    return phi;
  }

  static T Dot(int64_t n, const T* a, const T* b) {
    T sum = T(0);
    for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  }

  int64_t sinks() const { return args_.config.sinks; }
  int64_t past() const { return past_; }
  int64_t end() const { return end_; }
  int64_t window_begin() const { return window_begin_; }
  uint8_t terms() const { return terms_; }
  T gamma() const { return gamma_; }
  T alpha() const { return alpha_; }
  const FeatureMapReference<T>& map() const { return map_; }

 private:
  int64_t PastRow(int64_t j) const { return args_.past_rows - (past_ - j); }

  const HybridAttentionArgs<T>& args_;
  const int64_t sequence_, head_, kv_;
  const uint8_t terms_;
  const int64_t past_, end_, window_begin_;
  const T gamma_, alpha_;
  const FeatureMapReference<T>& map_;
};

// Row n: for each key its softmax weight and linear weight, and their sums.
template <typename T>
struct RowWeights {
  T row_max = T(0);
  size_t argmax = 0;    // index into keys
  std::vector<T> e, l;  // exp(s - c) and phi.phi of the terms kept
  T softmax_den = T(0), linear_den = T(0);  // with gamma and alpha
};

template <typename T>
RowWeights<T> WeightsOf(const Head<T>& head, int64_t n,
                        const std::vector<int64_t>& keys,
                        const std::vector<T>& phi_q,
                        const std::vector<std::vector<T>>& phi_k) {
  RowWeights<T> row;
  row.e.assign(keys.size(), T(0));
  row.l.assign(keys.size(), T(0));
  std::vector<T> s(keys.size());
  bool first = true;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!head.InSoftmaxSet(n, keys[i])) continue;
    s[i] = head.Score(n, keys[i]);
    if (first || RealPart(s[i]) > RealPart(row.row_max)) {
      row.row_max = s[i];
      row.argmax = i;
    }
    first = false;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (head.HasSoftmaxTerm(n, keys[i])) {
      row.e[i] = std::exp(s[i] - row.row_max);
      row.softmax_den += head.gamma() * row.e[i];
    }
    if (head.HasLinearTerm(n, keys[i])) {
      row.l[i] = Head<T>::Dot(phi_q.size(), phi_q.data(), phi_k[i].data());
      row.linear_den += head.alpha() * row.l[i];
    }
  }
  return row;
}

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
      y[d] = RealPart(den) > 0 ? num[d] / den : T(0);
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

  // dx += dz W^T, dW += x^T dz, db += dz.
  const auto project_backward =
      [&](const T* x, const T* weight, const std::vector<T>& dz, T* dx,
          std::vector<T>& dweight, std::vector<T>& dbias) {
        for (int64_t f = 0; f < F; ++f) {
          dbias[f] += dz[f];
          for (int64_t d = 0; d < D; ++d) {
            dx[d] += dz[f] * weight[(args.map_of(h) * D + d) * F + f];
            dweight[d * F + f] += x[d] * dz[f];
          }
        }
      };

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
    for (size_t i = 0; den > 0 && i < keys.size(); ++i) {
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
    for (size_t i = 0; den > 0 && i < keys.size(); ++i) {
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
      project_backward(head.Query(n), args.weight_q, dz, dq.data(), dweight_q,
                       dbias_q);
    }
    if (task.dq.data != nullptr) {
      std::copy(dq.begin(), dq.end(), task.dq.at(head.Row(n), h));
    }
  }
  for (int64_t j = 0; linear && j < length; ++j) {
    std::vector<T> dz(F);
    head.map().backward(F, z_k[j].data(), dphi_k[j].data(), dz.data());
    project_backward(head.Key(j), args.weight_k, dz, &dk[j * D], dweight_k,
                     dbias_k);
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
