// One head of one sequence as the scalar references see it: its rows, its keys
// and their weights. Included only by hybrid attention's references.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_REFERENCE_HEAD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_REFERENCE_HEAD_H_

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "kernels/feature_map/feature_map_ref.h"
#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels::reference {

// Positions are absolute; the call's first row is position `past`.
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
    return WindowStart(args_.config.window_kind, args_.config.window, n, end_);
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
    const bool past =
        !InSoftmaxSet(n, j) ||
        NearKeysAreLinear(args_.config.window_kind, args_.config.window, end_);
    const bool near = InSoftmaxSet(n, j);
    return (past && (terms_ & kLinearPastTerms)) ||
           (near && (terms_ & kLinearNearTerms));
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

// dx += dz W^T, dW += x^T dz, db += dz, for one head's weight [D, F].
template <typename T>
void ProjectBackward(int64_t D, int64_t F, const T* x, const T* weight,
                     const std::vector<T>& dz, T* dx, std::vector<T>& dweight,
                     std::vector<T>& dbias) {
  for (int64_t f = 0; f < F; ++f) {
    dbias[f] += dz[f];
    for (int64_t d = 0; d < D; ++d) {
      dx[d] += dz[f] * weight[d * F + f];
      dweight[d * F + f] += x[d] * dz[f];
    }
  }
}

}  // namespace caracal::kernels::reference

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_REFERENCE_HEAD_H_
