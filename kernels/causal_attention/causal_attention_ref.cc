#include "kernels/causal_attention/causal_attention_ref.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

namespace caracal::kernels {
namespace {

double RealPart(double x) { return x; }
double RealPart(std::complex<double> x) { return x.real(); }

template <typename T>
T Dot(int64_t n, const T* a, const T* b) {
  T sum = T(0);
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

size_t NoForwardArena(const CausalAttentionArgs<float>&) { return 0; }
size_t NoBackwardArena(const CausalAttentionArgs<float>&, int64_t) { return 0; }

void Forward(const CausalAttentionArgs<float>& args, int64_t sequence,
             int64_t head, void*) {
  CausalAttentionForwardReference(args, sequence, head);
}

void Backward(const CausalAttentionArgs<float>& args,
              const CausalAttentionBackwardTask<float>& task, void*) {
  CausalAttentionBackwardReference(args, task);
}

}  // namespace

template <typename T>
void CausalAttentionForwardReference(const CausalAttentionArgs<T>& args,
                                     int64_t sequence, int64_t head) {
  const int64_t D = args.D, kv = args.kv_head(head);
  const int64_t queries = args.queries(sequence), keys = args.keys(sequence);
  const int64_t key_row = args.key_offsets[sequence];
  for (int64_t i = 0; i < queries; ++i) {
    const int64_t row = args.offsets[sequence] + i;
    const int64_t n = keys - queries + i;
    std::vector<T> s(n + 1);
    double top = 0;
    for (int64_t j = 0; j <= n; ++j) {
      s[j] = Dot(D, args.q.at(row, head), args.k.at(key_row + j, kv)) /
             T(std::sqrt(D));
      top = j == 0 ? RealPart(s[0]) : std::max(top, RealPart(s[j]));
    }
    std::vector<T> num(D);
    T den = T(0);
    for (int64_t j = 0; j <= n; ++j) {
      const T p = std::exp(s[j] - T(top));
      den += p;
      for (int64_t d = 0; d < D; ++d) {
        num[d] += p * args.v.at(key_row + j, kv)[d];
      }
    }
    for (int64_t d = 0; d < D; ++d) args.y.at(row, head)[d] = num[d] / den;
    if (args.lse != nullptr) {
      args.lse[head * args.rows + row] = T(top) + std::log(den);
    }
  }
}

template <typename T>
void CausalAttentionBackwardReference(
    const CausalAttentionArgs<T>& args,
    const CausalAttentionBackwardTask<T>& task) {
  const int64_t D = args.D, head = task.head, kv = args.kv_head(head);
  const int64_t first = args.offsets[task.sequence];
  const int64_t length = args.queries(task.sequence);
  const T root = T(std::sqrt(D));
  std::vector<T> dk(length * D), dv(length * D);
  for (int64_t n = 0; n < length; ++n) {
    const T* q = args.q.at(first + n, head);
    const T* dy = task.dy.at(first + n, head);
    const T delta = Dot(D, dy, task.y.at(first + n, head));
    const T lse = task.lse[head * args.rows + first + n];
    std::vector<T> dq(D);
    for (int64_t j = 0; j <= n; ++j) {
      const T* k = args.k.at(first + j, kv);
      const T p = std::exp(Dot(D, q, k) / root - lse);
      const T ds = p * (Dot(D, dy, args.v.at(first + j, kv)) - delta) / root;
      for (int64_t d = 0; d < D; ++d) {
        dq[d] += ds * k[d];
        dk[j * D + d] += ds * q[d];
        dv[j * D + d] += p * dy[d];
      }
    }
    std::copy(dq.begin(), dq.end(), task.dq.at(first + n, head));
  }
  for (int64_t i = 0; i < length * D; ++i) {
    T& out_k = task.dk[i / D * task.dk_row + i % D];
    T& out_v = task.dv[i / D * task.dv_row + i % D];
    out_k = task.add_kv ? out_k + dk[i] : dk[i];
    out_v = task.add_kv ? out_v + dv[i] : dv[i];
  }
}

template void CausalAttentionForwardReference(const CausalAttentionArgs<float>&,
                                              int64_t, int64_t);
template void CausalAttentionForwardReference(
    const CausalAttentionArgs<double>&, int64_t, int64_t);
template void CausalAttentionForwardReference(
    const CausalAttentionArgs<std::complex<double>>&, int64_t, int64_t);
template void CausalAttentionBackwardReference(
    const CausalAttentionArgs<float>&,
    const CausalAttentionBackwardTask<float>&);
template void CausalAttentionBackwardReference(
    const CausalAttentionArgs<double>&,
    const CausalAttentionBackwardTask<double>&);

const CausalAttentionVersion kCausalAttentionReference = {
    NoForwardArena, NoBackwardArena, Forward, Backward};

}  // namespace caracal::kernels
