// What every implementation of Collective checks of a call: the caller's bugs.
#ifndef CARACAL_CORE_COLLECTIVE_CHECKS_H_
#define CARACAL_CORE_COLLECTIVE_CHECKS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/collective/collective.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

inline uint64_t BytesOf(ConstTensorView view) {
  return static_cast<uint64_t>(view.size()) * SizeOf(view.dtype);
}

inline void CheckView(ConstTensorView view) {
  CARACAL_CHECK(view.contiguous()) << "strided view";
  CARACAL_CHECK(view.defined() || view.size() == 0) << "undefined view";
}

inline void CheckReducible(ConstTensorView view) {
  CheckView(view);
  CARACAL_CHECK(view.dtype == DType::kF32 || view.dtype == DType::kBF16)
      << "reduction of " << NameOf(view.dtype);
}

// `piece` is rank `rank`'s of `whole`, cut into `counts`. Returns the element
// of `whole` at which it begins.
inline int64_t CheckPieces(ConstTensorView whole,
                           absl::Span<const int64_t> counts,
                           ConstTensorView piece, int rank, int size) {
  CheckView(whole);
  CheckView(piece);
  CARACAL_CHECK(whole.dtype == piece.dtype)
      << NameOf(whole.dtype) << " and " << NameOf(piece.dtype);
  CARACAL_CHECK_EQ(static_cast<int>(counts.size()), size);
  CARACAL_CHECK_EQ(counts[rank], piece.size());
  int64_t begin = 0, total = 0;
  for (int r = 0; r < size; ++r) {
    CARACAL_CHECK(counts[r] >= 0) << "count " << counts[r];
    if (r < rank) begin += counts[r];
    total += counts[r];
  }
  CARACAL_CHECK_EQ(total, whole.size());
  return begin;
}

inline void CheckRank(int rank, const Collective& group) {
  CARACAL_CHECK(rank >= 0 && rank < group.size())
      << "rank " << rank << " of " << group.size();
}

inline void CheckPeer(int peer, const Collective& group) {
  CheckRank(peer, group);
  CARACAL_CHECK(peer != group.rank()) << "a message to oneself";
}

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_CHECKS_H_
