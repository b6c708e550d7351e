// Pieces between ranks whose accelerators reach each other's memory, in halves:
// what a rank needs of the others is on its way while it computes what it does
// not need them for.
#ifndef CARACAL_CORE_COLLECTIVE_PIECE_EXCHANGE_H_
#define CARACAL_CORE_COLLECTIVE_PIECE_EXCHANGE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// Goes by rounds, in each of which every rank gives every other one a piece,
// which may be empty: Begin, a Send to each, a Receive from each, End; all
// ranks make as many rounds, with the same bounds. "The stream" is the
// device's, on which the pieces are made and used; the host waits in Begin at
// most. Not thread-safe.
//
// Errors are as a Collective's: after one every call returns it. What a stream
// waits for in vain shows as a stall of the device (Device::Wait).
class PieceExchange {
 public:
  virtual ~PieceExchange() = default;

  // No piece of the round, of any rank, is longer than `most_bytes`. Waits for
  // the device, and the ranks for each other, when that is more than before.
  virtual absl::Status Begin(uint64_t most_bytes) = 0;

  // What the stream has by now makes `piece`, which stays as it is until End().
  // It goes behind that, beside what the stream gets later. Contiguous.
  virtual absl::Status Send(ConstTensorView piece, int to) = 0;

  // What the stream gets from now on finds rank `from`'s piece at the address
  // returned, 256-byte aligned, and may write there: until it gets the second
  // Begin() from here.
  virtual absl::StatusOr<void*> Receive(int from) = 0;

  // What the stream gets from now on may write over what was sent.
  virtual absl::Status End() = 0;

  // Bytes sent so far.
  virtual uint64_t traffic() const = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_PIECE_EXCHANGE_H_
